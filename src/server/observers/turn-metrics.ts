import type { LogFields } from '../../base/log.ts';
import { Counter, Histogram, type Count, type Metrics } from '../../base/metrics.ts';
import { sumOfCosts, sumOfKnown } from '../../base/sum-of-known.ts';
import type { ModelTokens } from '../../core/agents/agent.ts';
import type { TurnEvent } from '../../core/calls/call-event.ts';
import { failureReasonOf } from '../../core/turns/report/failure-reason.ts';
import {
  outcomeName, TURN_OUTCOMES, type TurnOutcome,
} from '../../core/turns/report/turn-points.ts';
import type {
  AnsweredUsage, CostOf, CutUsage, TurnWork,
} from '../../core/turns/report/turn-work.ts';
import { CHAT_COMPLETIONS } from '../../core/wires/chat-completions/events.ts';
import { EVENT_FIELDS } from '../../core/wires/layercode/events.ts';
import { LAYERCODE } from '../../core/wires/layercode/our-events.ts';
import type { TurnObserver } from '../../core/wires/wire-options.ts';
import { WAIT_BUCKETS_SECONDS } from './work-metrics.ts';

/**
 * Counts deliveries of turns by outcome, and adds the outcome to the request's log line. The
 * outcomes of `wires` begin at 0: Prometheus's `rate` does not see the first sample of a counter.
 */
export function turnMetrics(
  metrics: Metrics,
  costOf: CostOf = () => undefined,
  wires: readonly string[] = [],
): TurnObserver {
  const turns = new Counter('layercode_turns_total', 'Turns by event, outcome and wire.', [
    'event', 'outcome', 'wire',
  ]);
  const counts = outcomeCounts(metrics.add(turns), wires);
  const firstSpeech = metrics.add(
    new Histogram(
      'layercode_first_speech_seconds',
      "From a turn's verified event to its first spoken event.",
      WAIT_BUCKETS_SECONDS,
      'event',
    ),
  );
  const firstWord = metrics.add(
    new Histogram(
      'layercode_first_word_seconds',
      "From a turn's verified event to the agent's first word, fillers excluded.",
      WAIT_BUCKETS_SECONDS,
      'event',
    ),
  );
  const failures = metrics.add(
    new Counter('layercode_turn_failures_total', 'Failed turns by reason.', ['reason']),
  );
  const handedOver = metrics.add(
    new Counter('layercode_spoken_after_hand_over_total', HAND_OVER_HELP, ['speaker']),
  );
  const countUsage = usageMetrics(metrics, costOf);
  return function turnMetrics({ event, context: { logFields } }, report) {
    const { outcome, firstSpeechMs, firstWordMs, speakers, work, traceId } = report;
    logFields['outcome'] = outcomeName(outcome);
    if (traceId !== undefined) logFields['traceId'] = traceId;
    counts[event.raw.type][outcome].increment();
    if (firstSpeechMs !== undefined) {
      logFields['firstSpeechMs'] = rounded(firstSpeechMs);
      firstSpeech.observe(firstSpeechMs / 1_000, event.raw.type);
    }
    if (firstWordMs !== undefined) {
      if (firstWordMs !== firstSpeechMs) logFields['firstWordMs'] = rounded(firstWordMs);
      firstWord.observe(firstWordMs / 1_000, event.raw.type);
    }
    if (outcome === 'failed') {
      const reason = failureReasonOf(report.error);
      logFields['failure'] = reason;
      failures.increment([reason]);
    }
    if (speakers !== undefined) {
      logFields['speakers'] = speakers.join(',');
      for (const speaker of speakers) handedOver.increment([speaker]);
    }
    if (work === undefined) return;
    noteWaits(logFields, work);
    const { usage = [], cut } = work;
    if (usage.length + cut.length > 0) Object.assign(logFields, countUsage(usage, cut));
  };
}

const HAND_OVER_HELP =
  "Turns in which an agent other than the path's spoke, by agent that spoke.";

function noteWaits(logFields: Record<string, unknown>, work: TurnWork): void {
  const { storeMs, settleMs, toolMs, slowestTool, limit, requests } = work;
  if (storeMs >= SHOWN_MS) logFields['storeMs'] = rounded(storeMs);
  if (settleMs >= SHOWN_MS) logFields['settleMs'] = rounded(settleMs);
  if (limit !== undefined) logFields['limit'] = limit;
  const failed = requests.filter(
    ({ failure }) => failure !== undefined && failure !== 'interrupted',
  );
  if (failed.length > 0) {
    logFields['modelFailures'] = failed.length;
    logFields['modelFailureMs'] = roundedIfKnown(sumOfKnown(
      failed.flatMap((request) => [request.durationMs, work.waitedAfter(request)]),
    ));
  }
  if (slowestTool === undefined) return;
  logFields['toolMs'] = rounded(toolMs);
  logFields['slowestTool'] = slowestTool;
}

/** Shorter waits explain nothing. */
const SHOWN_MS = 1;

function roundedIfKnown(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms);
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}

type OutcomeCounts = Readonly<
  Record<TurnEvent['raw']['type'], Readonly<Record<TurnOutcome, Count>>>
>;

/** The events that begin a turn, by the name of their wire. */
const EVENTS: readonly (readonly [wire: string, types: readonly string[]])[] = [
  [LAYERCODE, Object.keys(EVENT_FIELDS)],
  [CHAT_COMPLETIONS, ['chat.completion']],
];

/** Those of the call dialect are not known to arrive until they do. */
const USUAL_EVENTS: readonly string[] = ['session.start', 'message', 'chat.completion'];

/** Looked up once, so that a turn creates no arrays of labels. */
function outcomeCounts(outcomes: Counter, wires: readonly string[]): OutcomeCounts {
  const count = (type: string, outcome: TurnOutcome, wire: string): Count => {
    const one = outcomes.labelled([type, outcomeName(outcome), wire]);
    if (wires.includes(wire) && USUAL_EVENTS.includes(type)) one.increment(0);
    return one;
  };
  const entries = EVENTS.flatMap(([wire, types]) => types.map((type) => [
    type,
    Object.fromEntries(TURN_OUTCOMES.map((outcome) => [outcome, count(type, outcome, wire)])),
  ]));
  return Object.fromEntries(entries) as OutcomeCounts; // one key per event type
}

/**
 * Counts the tokens of a turn's models and what they cost, and returns the fields for the turn's
 * log line. `cut`: requests without a complete answer. Model names come from the settings, so they
 * are safe as labels.
 */
function usageMetrics(
  metrics: Metrics,
  costOf: CostOf,
): (usage: readonly AnsweredUsage[], cut: readonly CutUsage[]) => LogFields {
  const help = 'Tokens by model and direction, as vendors report them.';
  const labels = ['model', 'direction'] as const;
  const tokens = metrics.add(new Counter('layercode_model_tokens_total', help, labels));
  const estimated = metrics.add(
    new Counter(
      'layercode_model_estimated_tokens_total',
      'Tokens that the vendor has not reported, estimated.',
      labels,
    ),
  );
  const costs = metrics.add(
    new Counter(
      'layercode_model_cost_total',
      'What models cost, estimates included, in the currency of MODEL_PRICES.',
      ['model'],
    ),
  );
  const firstDelta = metrics.add(
    new Histogram(
      'layercode_model_first_token_seconds',
      "From a model's request to its first text or tool call.",
      WAIT_BUCKETS_SECONDS,
      'model',
    ),
  );
  function count(counter: Counter, model: string, used: ModelTokens): void {
    const { inputTokens, outputTokens, cachedTokens } = used;
    if (inputTokens !== undefined) counter.increment([model, 'input'], inputTokens);
    if (outputTokens !== undefined) counter.increment([model, 'output'], outputTokens);
    if (cachedTokens !== undefined) counter.increment([model, 'cached_input'], cachedTokens);
  }
  function costIn(model: string, used: ModelTokens): number | undefined {
    if (used.inputTokens === undefined && used.outputTokens === undefined) return undefined;
    const cost = costOf(model, used);
    if (cost !== undefined) costs.increment([model], cost);
    return cost;
  }
  return (usage, cut) => {
    for (const used of usage) {
      count(used.isEstimated === true ? estimated : tokens, used.model, used);
      firstDelta.observe(used.firstDeltaMs / 1_000, used.model);
    }
    for (const used of cut) count(used.isEstimated ? estimated : tokens, used.model, used);
    const all = [...usage, ...cut];
    return {
      model: [...new Set(all.map(({ model }) => model))].join(','),
      modelRequests: all.length,
      inputTokens: sumOfKnown(all.map(({ inputTokens }) => inputTokens)),
      outputTokens: sumOfKnown(all.map(({ outputTokens }) => outputTokens)),
      cachedTokens: sumOfKnown(all.map(({ cachedTokens }) => cachedTokens)),
      finishReason: usage.find(isCut)?.finishReason,
      tokensEstimated: all.some(({ isEstimated }) => isEstimated) || undefined,
      cost: sumOfCosts(all.map((used) => costIn(used.model, used))),
      firstTokenMs: roundedIfKnown(usage[0]?.firstDeltaMs),
      modelMs: roundedIfKnown(sumOfKnown(usage.map(({ durationMs }) => durationMs))),
    };
  };
}

function isCut({ finishReason }: AnsweredUsage): boolean {
  return finishReason === 'length';
}
