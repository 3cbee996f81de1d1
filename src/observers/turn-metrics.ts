import { sumOfKnown } from '../base/sum-of-known.ts';
import type { ModelUsage } from '../agents/agent.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { LogFields } from '../log.ts';
import { Counter, Histogram, type Count, type Metrics } from '../metrics.ts';
import { TURN_OUTCOMES, type TurnOutcome } from '../turns/delivery.ts';
import { WIRE as CHAT_COMPLETIONS } from '../wires/chat-completions/call-events.ts';
import { WIRE as LAYERCODE } from '../wires/layercode/call-events.ts';
import { EVENT_FIELDS } from '../wires/layercode/events.ts';
import type { TurnObserver } from '../wires/stream-delivery.ts';

const LATENCY_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counts deliveries of turns by outcome, and adds the outcome to the request's log line. */
export function turnMetrics(metrics: Metrics): TurnObserver {
  const turns = new Counter('layercode_turns_total', 'Turns by event, outcome and wire.', [
    'event', 'outcome', 'wire',
  ]);
  const counts = outcomeCounts(metrics.add(turns));
  const firstSpeech = metrics.add(
    new Histogram(
      'layercode_first_speech_seconds',
      "From a turn's verified event to its first spoken event.",
      LATENCY_BUCKETS_SECONDS,
      'event',
    ),
  );
  const countUsage = usageMetrics(metrics);
  return function turnMetrics({ event, context }, { outcome, firstSpeechMs, usage, speakers }) {
    context.logFields['outcome'] = outcome;
    counts[event.raw.type][outcome].increment();
    if (firstSpeechMs !== undefined) {
      context.logFields['firstSpeechMs'] = Math.round(firstSpeechMs * 100) / 100;
      firstSpeech.observe(firstSpeechMs / 1_000, event.raw.type);
    }
    if (speakers !== undefined) context.logFields['speakers'] = speakers.join(',');
    if (usage !== undefined) Object.assign(context.logFields, countUsage(usage));
  };
}

type OutcomeCounts = Readonly<
  Record<TurnEvent['raw']['type'], Readonly<Record<TurnOutcome, Count>>>
>;

/** The events that begin a turn, by the name of their wire. */
const EVENTS: readonly (readonly [wire: string, types: readonly string[]])[] = [
  [LAYERCODE, Object.keys(EVENT_FIELDS)],
  [CHAT_COMPLETIONS, ['chat.completion']],
];

/** Looked up once, so that a turn creates no arrays of labels. */
function outcomeCounts(outcomes: Counter): OutcomeCounts {
  const count = (type: string, outcome: TurnOutcome, wire: string): Count =>
    outcomes.labelled([type, outcome.replaceAll(' ', '_'), wire]);
  const entries = EVENTS.flatMap(([wire, types]) => types.map((type) => [
    type,
    Object.fromEntries(TURN_OUTCOMES.map((outcome) => [outcome, count(type, outcome, wire)])),
  ]));
  return Object.fromEntries(entries) as OutcomeCounts; // one key per event type
}

/**
 * Counts the tokens of a turn's models, and returns the fields for the turn's log line. Model names
 * come from the settings, so they are safe as labels.
 */
function usageMetrics(metrics: Metrics): (usage: readonly ModelUsage[]) => LogFields {
  const help = 'Tokens by model and direction.';
  const tokens = metrics.add(
    new Counter('layercode_model_tokens_total', help, ['model', 'direction']),
  );
  const firstDelta = metrics.add(
    new Histogram(
      'layercode_model_first_token_seconds',
      "From a model's request to its first text or tool call.",
      LATENCY_BUCKETS_SECONDS,
      'model',
    ),
  );
  return (usage) => {
    for (const { model, inputTokens, outputTokens, cachedTokens, firstDeltaMs } of usage) {
      if (inputTokens !== undefined) tokens.increment([model, 'input'], inputTokens);
      if (outputTokens !== undefined) tokens.increment([model, 'output'], outputTokens);
      if (cachedTokens !== undefined) tokens.increment([model, 'cached_input'], cachedTokens);
      firstDelta.observe(firstDeltaMs / 1_000, model);
    }
    return {
      model: [...new Set(usage.map(({ model }) => model))].join(','),
      modelRequests: usage.length,
      inputTokens: sumOfKnown(usage.map(({ inputTokens }) => inputTokens)),
      outputTokens: sumOfKnown(usage.map(({ outputTokens }) => outputTokens)),
      cachedTokens: sumOfKnown(usage.map(({ cachedTokens }) => cachedTokens)),
      firstTokenMs: Math.round(usage[0]?.firstDeltaMs ?? 0),
    };
  };
}
