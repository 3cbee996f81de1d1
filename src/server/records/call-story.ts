// A call told in order, line by line: what was said, requested, run and waited for.

import type { CapturedRequest } from '../../core/captures/captured-requests.ts';
import type { RequestFigures, ToolFigures } from '../../core/conversations/turn-figures.ts';
import {
  toolFiguresIn, toolOutcomeOf, waitForWords, type CallRecord, type RecordedMessage,
  type RecordedTurn,
} from './call-record.ts';

/** What a line is about. */
type StoryKind =
  | 'caller' | 'agent' | 'filler' | 'tool' | 'result' | 'model' | 'store' | 'settling' | 'limit'
  | 'failure';

export interface StoryLine {
  readonly kind: StoryKind;
  readonly text: string;
  /** The agent that spoke, if it is not the call's. */
  readonly speaker?: string | undefined;
  /** From the start of the turn, in milliseconds. Undefined if the record does not say. */
  readonly atMs: number | undefined;
  /** How long it took, in milliseconds. Undefined if it took no time, or if that is not known. */
  readonly durationMs?: number | undefined;
  /** For a request to a model, if it was captured: what is new in it, and the answer. */
  readonly details?: readonly string[] | undefined;
}

/** What happened in a turn. */
export interface TurnStory {
  readonly heading: string;
  readonly lines: readonly StoryLine[];
}

/** Something that took time. */
export interface SlowThing {
  readonly what: string;
  readonly durationMs: number;
  /** The time in the heading of its turn. */
  readonly turn: string;
}

/** The turns of a call in order, and what happened in them. */
export function storyOf({ turns }: CallRecord): readonly TurnStory[] {
  const unknownKeys = new Set<string>();
  return turns.map((turn) => ({ heading: headingOf(turn), lines: linesOf(turn, unknownKeys) }));
}

/**
 * What took longest in a call: requests to models, waits before they were repeated, tools, and
 * waits for the store.
 */
export function slowestOf({ turns }: CallRecord, count: number): readonly SlowThing[] {
  const all = turns.flatMap((turn) => {
    const known = (what: string, durationMs: number | undefined): readonly SlowThing[] =>
      durationMs === undefined ? [] : [{ what, durationMs, turn: timeOf(turn) }];
    return [
      ...linesOf(turn, new Set()).flatMap((line) => known(shortly(line), line.durationMs)),
      ...(turn.requests ?? []).flatMap(({ model, retriedAfterMs }) =>
        known(`the wait before model ${model} was asked again`, retriedAfterMs)),
    ];
  });
  return all.sort((one, other) => other.durationMs - one.durationMs).slice(0, count);
}

/** The name of a model or a tool, without the rest of its line. */
function shortly({ kind, text }: StoryLine): string {
  if (kind === 'settling') return 'the wait for SETTLE_MS';
  return kind === 'store' ? 'the store' : `${kind} ${/^[^ ,]*/.exec(text)?.[0] ?? ''}`;
}

function timeOf({ startedAt }: RecordedTurn): string {
  return startedAt?.slice(11, 19) ?? '?';
}

function headingOf(turn: RecordedTurn): string {
  const { outcome, durationMs, fillers, isDiscarded } = turn;
  const { firstSpeechMs: soundMs } = turn;
  const wordMs = turn.firstWordMs ?? (fillers === undefined ? soundMs : undefined);
  return [
    `[${timeOf(turn)}] ${outcome}${durationMs === undefined ? '' : ` after ${durationMs} ms`}`,
    ...(soundMs === wordMs ? [] : [`first sound after ${soundMs ?? '?'} ms`]),
    ...(wordMs === undefined ? [] : [`first word after ${wordMs} ms`]),
    ...(isDiscarded === true ? ['discarded by the platform'] : []),
    `turn ${turn.turnId}`,
    ...(turn.traceId === undefined ? [] : [`trace ${turn.traceId}`]),
  ].join(', ');
}

/**
 * Messages have an order but no times; whatever has a time is put between them. A reply comes after
 * the request that it answers. `unknownKeys`: the keys of earlier calls with an unknown outcome, to
 * which this turn's are added.
 */
function linesOf(turn: RecordedTurn, unknownKeys: Set<string>): readonly StoryLine[] {
  const said = messageLines(turn, unknownKeys);
  const timed = timedLines(turn);
  const lines: StoryLine[] = [];
  for (const line of said) {
    const next = timed.findIndex((other) => !isBefore(other, line));
    lines.push(...timed.splice(0, next === -1 ? timed.length : next));
    lines.push(line);
  }
  return [...lines, ...timed];
}

/** The line of a message. Without a time, it goes before whatever happened at `beforeMs`. */
interface MessageLine extends StoryLine {
  readonly beforeMs?: number | undefined;
}

/** Whether something with a time belongs before a message. */
function isBefore({ kind, atMs }: StoryLine, message: MessageLine): boolean {
  const { atMs: messageMs = message.beforeMs } = message;
  if (messageMs === undefined) return false;
  const at = atMs ?? (kind === 'failure' ? Infinity : 0);
  const isItsAnswer = kind === 'model' && message.kind === 'agent';
  return isItsAnswer ? at <= messageMs : at < messageMs;
}

function timedLines({
  requests = [], fillers, filler, storeMs, settleMs, settlingFromMs, limit, failure, captured,
}: RecordedTurn): StoryLine[] {
  const spoken = fillers ?? (filler === undefined ? [] : [{ text: filler, afterMs: undefined }]);
  const wait = (
    kind: 'store' | 'settling',
    durationMs: number | undefined,
    atMs = 0,
  ): StoryLine[] => (durationMs === undefined ? [] : [{ kind, text: '', atMs, durationMs }]);
  const lines: StoryLine[] = [
    ...wait('store', storeMs),
    ...requests.map((request, index) => ({
      ...requestLine(request),
      details: captured?.requests.filter((one) => one.request === index).flatMap(detailsOf),
    })),
    ...wait('settling', settleMs, settlingFromMs),
    ...spoken.map(({ text, afterMs }): StoryLine => ({ kind: 'filler', text, atMs: afterMs })),
  ];
  lines.sort((one, other) => (one.atMs ?? 0) - (other.atMs ?? 0));
  if (limit !== undefined) {
    const text = `the call has reached its limit of ${limit}`;
    lines.push({ kind: 'limit', text, atMs: undefined });
  }
  if (failure !== undefined) {
    const { reason, detail } = failure;
    const text = detail === undefined ? reason : `${reason}: ${detail}`;
    lines.push({ kind: 'failure', text, atMs: undefined });
  }
  return lines;
}

/** Messages that the previous request also had are only counted. */
function detailsOf({
  fields = {}, withoutFields = [], sameMessages, messages, answer,
}: CapturedRequest): readonly string[] {
  return [
    ...Object.entries(fields).map(([name, value]) => `${name}: ${JSON.stringify(value)}`),
    ...withoutFields.map((name) => `without ${name}`),
    ...(sameMessages === undefined ? [] : [`the same ${sameMessages} messages as before, then`]),
    ...messages.map((message) => `sent: ${JSON.stringify(message)}`),
    ...(answer === undefined ? [] : [`answered: ${JSON.stringify(answer)}`]),
  ];
}

function requestLine(request: RequestFigures): StoryLine {
  const { model, startedMs, firstTokenMs, durationMs, attempt, failure, reason = '' } = request;
  const { retriedAfterMs, fellBackTo, inputTokens, outputTokens, isEstimated } = request;
  const { finishReason } = request;
  const tokens = inputTokens === undefined && outputTokens === undefined
    ? []
    : [`${inputTokens ?? '?'} in`, `${outputTokens ?? '?'} out`];
  if (isEstimated === true) tokens.push('estimated');
  const why = reason.startsWith(`${model} `) ? reason.slice(model.length + 1) : reason;
  const text = [
    model,
    ...(attempt === undefined ? [] : [`attempt ${attempt}`]),
    ...(firstTokenMs === undefined ? [] : [`first token after ${firstTokenMs} ms`]),
    ...(failure === undefined ? [] : [failure + (why === '' ? '' : `: ${why}`)]),
    ...(finishReason === 'length' ? ["cut at the model's limit"] : []),
    ...(retriedAfterMs === undefined ? [] : [`asked again after ${retriedAfterMs} ms`]),
    ...(fellBackTo === undefined ? [] : [`${fellBackTo} was asked instead`]),
    ...tokens,
  ].join(', ');
  return { kind: 'model', text, atMs: startedMs, durationMs };
}

function messageLines(
  turn: RecordedTurn,
  unknownKeys: Set<string>,
): readonly MessageLine[] {
  const { messages, requests = [] } = turn;
  const byId = toolFiguresIn(turn);
  let nowMs = 0;
  let hasSpoken = false;
  return messages.flatMap((message) => {
    const { role, content, toolCalls = [] } = message;
    if (role === 'user') return [{ kind: 'caller', text: content, atMs: 0 } as const];
    if (role === 'tool')
      return [resultLine(message, byId.get(message.toolCallId), unknownKeys)];
    const lines: MessageLine[] = [];
    const answeredMs = answeredAt(requests, nowMs);
    if (content !== '') {
      const atMs = hasSpoken ? answeredMs : waitForWords(turn);
      hasSpoken = true;
      nowMs = Math.max(nowMs, atMs ?? 0);
      lines.push({ kind: 'agent', text: content, speaker: message.agent, atMs });
    }
    for (const { id, name, args } of toolCalls) {
      const tool = byId.get(id);
      const [atMs, durationMs] = [tool?.startedMs, tool?.durationMs];
      nowMs = Math.max(nowMs, atMs ?? answeredMs ?? 0);
      const beforeMs = answeredMs === undefined ? undefined : nextAt(requests, answeredMs);
      lines.push({ kind: 'tool', text: `${name} ${args}`, atMs, durationMs, beforeMs });
    }
    return lines;
  });
}

/** When the first request that began at `afterMs` or later was answered. */
function answeredAt(requests: readonly RequestFigures[], afterMs: number): number | undefined {
  const answer = requests.find(
    ({ startedMs, firstTokenMs }) => startedMs >= afterMs && firstTokenMs !== undefined,
  );
  return answer === undefined ? undefined : answer.startedMs + (answer.firstTokenMs ?? 0);
}

/** When the next request after `afterMs` began, the one with the results. */
function nextAt(requests: readonly RequestFigures[], afterMs: number): number {
  return requests.find(({ startedMs }) => startedMs > afterMs)?.startedMs ?? Infinity;
}

function resultLine(
  message: RecordedMessage,
  tool: ToolFigures | undefined,
  unknownKeys: Set<string>,
): StoryLine {
  const { content, idempotencyKey = '' } = message;
  const outcome = toolOutcomeOf(message, tool);
  const isPlain = outcome === undefined || outcome === 'completed';
  const isUnknown = outcome === 'unknown';
  const isAfterEqual = unknownKeys.has(idempotencyKey);
  const cause = tool?.detail ?? (isUnknown ? causeWithoutError(tool, isAfterEqual) : undefined);
  if (isUnknown && idempotencyKey !== '') unknownKeys.add(idempotencyKey);
  const key = idempotencyKey === '' ? '' : `, key ${idempotencyKey}`;
  const text = `${content} (${outcome}${cause === undefined ? '' : `: ${cause}`}${key})`;
  return { kind: 'result', text: isPlain ? content : text, atMs: undefined };
}

/** Why a call without an error has an unknown outcome, as far as its figures say. */
function causeWithoutError(tool: ToolFigures | undefined, isAfterEqual: boolean): string {
  if (tool === undefined) // it has not returned, or did not run
    return isAfterEqual ? 'an identical earlier call has an unknown outcome' : 'its process ended';
  return tool.outcome === undefined
    ? 'it went on after its turn'
    : 'it threw something that is not an error';
}
