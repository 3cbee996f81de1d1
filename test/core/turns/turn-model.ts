// The model of the turn: what history must hold after a talk, whatever happened in it. It knows
// what can be seen from outside, and nothing about how the server works.

import type { Message } from '../../../src/core/conversations/message.ts';
import type { Cut, Delivery, Ledger, Run, TurnEntry } from './ledger.ts';

/** Matches a placeholder for a missing result. */
const UNFINISHED = /"error"|"still running"/;
export const FILLER = 'One moment.';
export const APOLOGY = 'Sorry, something went wrong. Could you say that again?';

interface Block {
  readonly turnId: string;
  readonly messages: Message[];
}

/**
 * Everything that is wrong with a history, one sentence each. Only for when nothing is happening.
 */
export function* wrongsOf(ledger: Ledger, history: readonly Message[]): Generator<string> {
  const blocks = blocksOf(history);
  const ids = blocks.map(({ turnId }) => turnId);
  if (new Set(ids).size < ids.length)
    yield `a turn stands in history in several places: ${ids.join(' ')}`;
  const spoken = history.filter(({ role }) => role === 'user').map(({ content }) => content);
  const accepted = ledger.turns
    .filter(({ words, isLost }) => words !== undefined && !isLost)
    .map(({ words }) => words ?? '');
  if (spoken.join('|') !== accepted.join('|'))
    yield `the caller said ${accepted.join(', ')}; history has ${spoken.join(', ')}`;
  const found = blocks.map((block) => ledger.turns.find((turn) => isOf(turn, block)));
  const order = found
    .filter((turn) => turn?.hasNoPlace === false)
    .map((turn) => ledger.turns.indexOf(turn as TurnEntry));
  if (order.some((place, index) => index > 0 && place < (order[index - 1] ?? 0)))
    yield `history is out of order: ${found.map((turn) => turn?.label).join(' ')}`;
  const lastRunAt = Math.max(...ledger.turns.flatMap(({ runs }) => runs.map(({ n }) => n)));
  for (const [index, block] of blocks.entries()) {
    const turn = found[index];
    if (turn === undefined)
      yield `nobody asked for the turn ${block.turnId}: ${JSON.stringify(block.messages)}`;
    else if (turn.isUnkept)
      yield `${turn.label} should have left nothing: ${JSON.stringify(block.messages)}`;
    else
      for (const wrong of wrongsOfTurn(turn, block.messages, lastRunAt, ledger.isHarmed))
        yield `${turn.label}: ${wrong}`;
  }
  for (const turn of ledger.turns) {
    if (turn.isUnkept || turn.isLost || found.includes(turn)) continue;
    for (const wrong of wrongsOfTurn(turn, [], lastRunAt, ledger.isHarmed))
      yield `${turn.label}, of which history has nothing: ${wrong}`;
  }
}

function* wrongsOfTurn(
  turn: TurnEntry,
  messages: readonly Message[],
  lastRunAt: number,
  isHarmed: boolean,
): Generator<string> {
  const run = turn.runs.at(-1);
  const earlier = new Set(turn.runs.slice(0, -1).flatMap(({ calls }) => calls.map(({ id }) => id)));
  const assistant = messages.filter((message) => message.role === 'assistant');
  yield* wrongsOfCalls(turn, messages);
  const notEarlier = assistant.filter(
    ({ toolCalls = [] }) => !toolCalls.some(({ id }) => earlier.has(givenId(id))),
  );
  // The turn was reopened, and ended before the agent was asked. Then the calls of the last run are
  // now those of an earlier one.
  const withoutCalls = notEarlier.filter(({ toolCalls }) => toolCalls === undefined);
  const isRenewed =
    wasReplaced(turn, run?.arrivedAt) &&
    notEarlier.every(({ toolCalls, content, state }) =>
      toolCalls === undefined ? content === '' : state === 'interrupted',
    );
  const isRunning = run !== undefined && !run.isOver() && !run.isDead;
  // A result that a change by another process had lost comes back before the run's own words.
  const notBroughtBack = notEarlier.filter(
    ({ content, state }) => !isRunning || content !== '' || state !== 'interrupted',
  );
  const own = isRenewed ? withoutCalls : notBroughtBack;
  const states = new Set(own.map(({ state }) => state));
  if (states.size > 1) yield `has several states: ${[...states].join(', ')}`;
  const [state] = states;
  const text = own.map(({ content }) => content).join('');
  if (state === 'open' && !isRunning && (turn.diedAt === undefined || turn.diedAt < lastRunAt))
    yield 'has a placeholder, and does not run';
  if (isRunning && state !== 'open') yield `runs, and is ${state ?? 'without a placeholder'}`;
  const allowed = allowedTexts(turn, run);
  if (isHarmed) allowed.push((candidate) => isApologized(candidate, state, said(run)));
  if (state !== 'open' && !allowed.some((allows) => allows(text, state))) {
    const [kept, spoken, had] = [text, said(run), got(turn, run)].map((value) =>
      JSON.stringify(value),
    );
    const heard = JSON.stringify(turn.cuts.map((cut) => cut.heard));
    const stands = `says ${kept} (${state ?? 'nothing'})`;
    yield `${stands}; the agent said ${spoken}, the caller got ${had}, cuts: ${heard}`;
  }
  const answered = turn.deliveries.filter(({ arrivedAt }) => arrivedAt >= (run?.arrivedAt ?? 0));
  if (state === 'completed' && text !== '' && answered.every(({ breaks }) => breaks))
    yield `is complete with ${JSON.stringify(text)}, of which nothing ever left`;
  if (
    turn.completedText !== undefined &&
    text !== turn.completedText &&
    cutsOf(turn, run).length === 0
  ) {
    yield `was complete with ${quoted(turn.completedText)}, and is ${quoted(text)} now`;
  }
  turn.completedText = state === 'completed' ? text : undefined;
}

/**
 * Whether the text is a part of what was said, with the apology, which is cut only if interrupted.
 */
function isApologized(text: string, state: string | undefined, full: string): boolean {
  const at = text.indexOf(APOLOGY.slice(0, 5));
  const apology = text.slice(at);
  const isRight =
    state === 'failed'
      ? apology === APOLOGY
      : state === 'interrupted' && APOLOGY.startsWith(apology);
  return at !== -1 && isRight && full.startsWith(text.slice(0, at).trimEnd());
}

type Allows = (text: string, state: string | undefined) => boolean;

/**
 * The texts that the reply may have: that of the last cut, of those that may apply, or all of it.
 */
function allowedTexts(turn: TurnEntry, run: Run | undefined): Allows[] {
  const allowed: Allows[] = [];
  const cuts = cutsOf(turn, run);
  if (wasReplaced(turn, run?.arrivedAt) && (turn.completedText === undefined || cuts.length > 0))
    allowed.push((text) => text === '');
  for (const { heard, isApplied } of cuts.toReversed()) {
    if (heard === undefined)
      allowed.push(
        (text, state) =>
          (isWhole(text, run) || hasLeft(text, turn, run)) &&
          (text === '' || state === 'interrupted'),
      );
    else allowed.push((text) => same(text, heard) || same(text, withoutFillers(heard)));
    // If only a filler was heard, the reply may be empty or unchanged.
    if (isApplied() && (heard === undefined || heard === '' || withoutFillers(heard) !== ''))
      return allowed;
  }
  // A report between two deliveries may cut the run that both of them have.
  if (turn.deliveries.length > 1)
    for (const { heard } of turn.cuts)
      if (heard !== undefined) allowed.push((text) => same(text, heard));
  const full = said(run);
  if (run === undefined || run.isDead) allowed.push((text) => text === '' || full.startsWith(text));
  else if (run.hasFailed) allowed.push((text, state) => state === 'failed' && isWhole(text, run));
  else {
    allowed.push((text, state) => text === full && (text === '' || state === 'completed'));
    allowed.push(
      (text, state) => (text === '' || state === 'interrupted') && hasLeft(text, turn, run),
    );
  }
  return allowed;
}

/** Whether the text may be what was sent: at least what a caller got. */
function hasLeft(text: string, turn: TurnEntry, run: Run | undefined): boolean {
  return said(run).startsWith(text) && text.startsWith(got(turn, run));
}

/** The reports of the platform on this run. */
function cutsOf({ cuts }: TurnEntry, run: Run | undefined): Cut[] {
  return cuts.filter(({ arrivedAt }) => arrivedAt > (run?.arrivedAt ?? 0));
}

/** Whether the turn may have been reopened since, and have ended before the agent was asked. */
function wasReplaced({ deliveries }: TurnEntry, since = 0): boolean {
  const opened = (delivery: Delivery): boolean =>
    !delivery.hasJoined && delivery.run === undefined && heardBy(delivery, false) === '';
  return deliveries.some((delivery) => delivery.arrivedAt > since && opened(delivery));
}

/** Whether the text is all that was said, with the apology if the agent failed. */
function isWhole(text: string, run: Run | undefined): boolean {
  return run?.hasFailed === true
    ? text.startsWith(said(run).trimEnd()) && text.length > said(run).length
    : text === said(run);
}

/** The id that the agent gave. If two calls have the same one, the second gets a number. */
function givenId(id: string): string {
  return id.replace(/-\d+$/, '');
}

/** Each call must be followed by its result: the true one if the tool returned. */
function* wrongsOfCalls(turn: TurnEntry, messages: readonly Message[]): Generator<string> {
  const calls = turn.runs.flatMap((run) => run.calls);
  const seen: string[] = [];
  for (const [index, message] of messages.entries()) {
    if (message.role !== 'assistant') continue;
    for (const [offset, { id, args }] of (message.toolCalls ?? []).entries()) {
      const result = messages[index + 1 + offset];
      const alike = calls.filter((candidate) => candidate.args === args);
      const call = alike.findLast((candidate) => candidate.id === givenId(id)) ?? alike.at(-1);
      if (seen.includes(id)) yield `has two calls with the id ${id}`;
      seen.push(id);
      if (result?.role !== 'tool' || result.toolCallId !== id)
        yield `has no result behind the call ${id}`;
      else if (call === undefined) yield `has a call that nobody made: ${id}`;
      else {
        const isTrue =
          call.result === undefined || call.mayBeLost
            ? UNFINISHED.test(result.content) ||
              alike.some((other) => other.result === result.content)
            : result.content === call.result;
        if (!isTrue) {
          const returned = call.result ?? 'nothing';
          yield `has for ${id} the result ${result.content}; the tool returned ${returned}`;
        }
      }
    }
  }
  if (messages.filter(({ role }) => role === 'tool').length > seen.length)
    yield 'has a result without its call';
  const args = messages.flatMap((message) =>
    message.role === 'assistant' ? (message.toolCalls ?? []).map((call) => call.args) : [],
  );
  for (const run of turn.runs) {
    if (run.isDead || !run.isOver()) continue;
    const isLast = run === turn.runs.at(-1) && !wasReplaced(turn, run.arrivedAt);
    for (const call of run.calls) {
      // Calls of earlier runs that cannot be undone are kept once.
      const isKept = isLast
        ? seen.includes(call.id)
        : call.isInterrupted || args.includes(call.args);
      if (call.isNoted && !isKept) yield `has lost the call ${call.id} of run ${run.n}`;
    }
  }
}

/** Everything that is wrong with what callers got, one sentence each. */
export function* wrongsOnTheWire({ turns, isHarmed }: Ledger): Generator<string> {
  for (const turn of turns)
    for (const delivery of turn.deliveries) {
      const types = delivery.events().map(({ type }) => type);
      if (types.slice(0, -1).includes('response.end'))
        yield `${turn.label}: something came after the end of the stream: ${types.join(' ')}`;
      const all = heardBy(delivery, true);
      const heard =
        isHarmed && all.endsWith(APOLOGY) ? all.slice(0, -APOLOGY.length).trimEnd() : all;
      const isOfRun = turn.runs.some((run) => said(run).startsWith(heard) || isWhole(heard, run));
      if (heard !== '' && !isOfRun && heard !== delivery.replayed)
        yield `${turn.label}: a caller heard ${JSON.stringify(heard)}, which no run said`;
      // Unless it came just after a report that cut the reply, and joined the run that followed.
      const isReplay =
        delivery.replayed !== undefined &&
        delivery.run === undefined &&
        !turn.runs.some(({ n }) => n > delivery.arrivedAt) &&
        types.at(-1) === 'response.end';
      if (isReplay && heard !== '' && heard !== delivery.replayed)
        yield `${turn.label}: ${quoted(delivery.replayed)} was said again as ${quoted(heard)}`;
    }
}

/**
 * The turn that a report of the platform means. `before` ends with the turn to begin at. `newest`
 * is the last turn before the message: only that one can be cut to nothing, or to other words.
 */
export function turnHeard<T extends TurnEntry>(
  before: readonly T[],
  heard: string | undefined,
  newest: T | undefined = before.at(-1),
): T | undefined {
  for (const turn of before.toReversed()) {
    const text = textNow(turn);
    if (text === undefined) return heard === undefined ? undefined : turn;
    if (text.trim() !== '' && turn === newest) return turn;
    if (heard === undefined || withoutFillers(heard) === '') return undefined;
    if (text.trim() !== '') return text.startsWith(heard.trim()) ? turn : undefined;
  }
  return undefined;
}

/** The reply as history holds it. Undefined if that is not known. */
export function textNow(turn: TurnEntry): string | undefined {
  const run = turn.runs.at(-1);
  const cut = cutsOf(turn, run).findLast(
    ({ heard, isApplied }) => isApplied() && heard !== undefined,
  );
  if (cut?.heard !== undefined) return withoutFillers(cut.heard);
  if (turn.diedAt !== undefined) return undefined;
  return run?.hasFailed === true ? said(run) + APOLOGY : said(run);
}

function blocksOf(history: readonly Message[]): Block[] {
  const blocks: Block[] = [];
  for (const message of history) {
    const last = blocks.at(-1);
    if (last?.turnId === message.turnId) last.messages.push(message);
    else blocks.push({ turnId: message.turnId, messages: [message] });
  }
  return blocks;
}

function isOf(turn: TurnEntry, { turnId, messages }: Block): boolean {
  const spoken = messages.find(({ role }) => role === 'user');
  return spoken === undefined
    ? turn.turnId === turnId || turn.runs.some((run) => run.turnId === turnId)
    : spoken.content === turn.words;
}

/** All words of the agent that may have been taken, without fillers. */
export function said(run: Run | undefined): string {
  return (run?.pieces ?? [])
    .filter(({ isFiller, isTaken }) => !isFiller && isTaken !== false)
    .map(({ text }) => text)
    .join('');
}

/** The most that any caller got of a run, without fillers. */
export function got(turn: TurnEntry, run: Run | undefined): string {
  const texts = turn.deliveries
    .map((delivery) => heardBy(delivery, true))
    .filter((text) => said(run).startsWith(text));
  return texts.reduce((most, text) => (text.length > most.length ? text : most), '');
}

/** All that was spoken on a connection. `isOwnOnly` leaves out fillers. */
export function heardBy(delivery: Delivery, isOwnOnly: boolean): string {
  const texts = delivery
    .events()
    .filter(({ type }) => type === 'response.tts')
    .map(({ content }) => String(content));
  return texts.filter((text) => !isOwnOnly || text.trim() !== FILLER).join('');
}

export function withoutFillers(heard: string): string {
  let rest = heard.trimStart();
  while (rest.startsWith(FILLER)) rest = rest.slice(FILLER.length).trimStart();
  return FILLER.startsWith(rest.trimEnd()) ? '' : rest;
}

function same(one: string, other: string): boolean {
  return one.trim() === other.trim();
}

function quoted(value: unknown): string {
  return JSON.stringify(value);
}
