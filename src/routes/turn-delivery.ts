import { TURN_OUTCOMES, type BegunTurn, type TurnEvent, type TurnOutcome, type TurnReport, type TurnRequest } from '../turns/delivery.ts';
import type { Turns } from '../turns/turns.ts';
import type { Context } from '../http/context.ts';
import { EVENT_FIELDS } from '../layercode/events.ts';
import type { ReplyStream } from '../layercode/reply-stream.ts';
import { Counter, Histogram, type Count, type Metrics } from '../metrics.ts';
import { LATENCY_BUCKETS_SECONDS, usageMetrics } from './usage-metrics.ts';

/** How a request for a turn went. Milliseconds from the request on. */
export interface TurnFigures {
  readonly requestId: string;
  /** Undefined where the platform sent none. */
  readonly turnId: string | undefined;
  readonly outcome: TurnOutcome;
  /** From when the first model was asked, which is at once. Undefined where none was. */
  readonly firstTokenMs: number | undefined;
  /** Undefined when nothing was spoken. */
  readonly firstSpeechMs: number | undefined;
  readonly durationMs: number;
  /** Why it failed. For a developer's eyes only: it may quote what a model or a tool said. */
  readonly error: unknown;
}

/** One delivery of a turn over HTTP. An object, where closures would do: an open stream keeps it, and those took three times the room. */
export class TurnDelivery implements TurnRequest {
  readonly event: TurnEvent;
  readonly conversationId: string;
  readonly source: Context;
  readonly sink: ReplyStream;
  readonly #reports: TurnReports;
  #turn: BegunTurn | undefined;

  constructor(source: Context, event: TurnEvent, conversationId: string, sink: ReplyStream, reports: TurnReports) {
    this.source = source;
    this.event = event;
    this.conversationId = conversationId;
    this.sink = sink;
    this.#reports = reports;
  }

  get turnId(): string | undefined {
    return this.event.turn_id ?? undefined;
  }

  /** When the event could be verified: a body that comes slowly takes none of the agent's time. */
  get receivedAtMs(): number {
    return this.source.bodyReadAtMs;
  }

  begin(turns: Turns): void {
    this.#turn = turns.start(this);
  }

  /** The connection closed before the stream ended. */
  destroy(): void {
    this.#turn?.drop(this);
    this.sink.destroy();
  }

  onOutcome(report: TurnReport): void {
    this.#reports.add(this, report);
  }
}

/** What becomes of turns: for the metrics, for the lines of the log, and for whoever else is told. */
export class TurnReports {
  readonly #firstSpeech: Histogram;
  readonly #countUsage: ReturnType<typeof usageMetrics>;
  readonly #counts: OutcomeCounts;
  readonly #onTurnEnd: ((figures: TurnFigures) => void) | undefined;

  constructor(metrics: Metrics, onTurnEnd: ((figures: TurnFigures) => void) | undefined) {
    this.#counts = outcomeCounts(metrics.add(new Counter('layercode_turns_total', 'Turns by event and outcome.', ['event', 'outcome'])));
    this.#firstSpeech = metrics.add(new Histogram('layercode_first_speech_seconds', 'From a turn\'s request to its first spoken event.', LATENCY_BUCKETS_SECONDS));
    this.#countUsage = usageMetrics(metrics);
    this.#onTurnEnd = onTurnEnd;
  }

  add({ event, turnId, source }: TurnDelivery, { outcome, firstSpeechMs, usage, error }: TurnReport): void {
    source.logFields['outcome'] = outcome;
    this.#counts[event.type][outcome].increment();
    if (firstSpeechMs !== undefined) {
      source.logFields['firstSpeechMs'] = Math.round(firstSpeechMs * 100) / 100;
      this.#firstSpeech.observe(firstSpeechMs / 1_000);
    }
    if (usage !== undefined) Object.assign(source.logFields, this.#countUsage(usage));
    this.#onTurnEnd?.({
      requestId: source.requestId, turnId, outcome,
      firstTokenMs: usage?.[0]?.firstDeltaMs, firstSpeechMs, durationMs: performance.now() - source.receivedAtMs, error,
    });
  }
}

type OutcomeCounts = Readonly<Record<TurnEvent['type'], Readonly<Record<TurnOutcome, Count>>>>;

/** Looked up once: a turn makes no arrays of labels. */
function outcomeCounts(outcomes: Counter): OutcomeCounts {
  const entries = Object.keys(EVENT_FIELDS).map((type) => [
    type,
    Object.fromEntries(TURN_OUTCOMES.map((outcome) => [outcome, outcomes.labelled([type, outcome.replaceAll(' ', '_')])])),
  ]);
  return Object.fromEntries(entries) as OutcomeCounts; // a key for each type, from the table of them
}
