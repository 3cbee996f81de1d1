// What must be true of a talk with a fleet, whatever went wrong in it. The model knows what can be
// seen from outside, and nothing about how the server works.

import type { Message } from '../../../../src/core/conversations/message.ts';
import type { OnceCall } from '../../../../src/core/conversations/once-call.ts';
import type { ChatMessage } from '../../../../src/core/models/model.ts';
import {
  heardOn, isCutOff, isOnce, isPending, saidBy, type Act, type Clearing, type FleetDelivery,
  type FleetLedger, type FleetRun, type FleetTurn,
} from './ledger.ts';
import type { Process } from './stage.ts';
import type { FleetTalk, Trouble } from './talk.ts';

const APOLOGY = 'Sorry, something went wrong. Could you say that again?';
/** Placeholders for a missing result. */
const UNFINISHED = new Set([
  '{"status":"still running"}', '{"error":"interrupted"}', '{"error":"outcome unknown"}',
  '{"error":"not started"}',
]);
const ERASED = new Set(['null', '{"status":"done before","result":null}']);
/** A turn that waited for less than this is the newest, whatever else arrived meanwhile. */
const PROMPT_MS = 100;
/** A process that answers no question for this long counts as gone. */
const SILENCE_MS = 450;
/** A call that has lasted this long may be out of time: its turn began earlier. */
const TURN_TIMEOUT_MS = 110_000;
const TAKEN_OVER = 'another process runs the turn';
/** A process forgets what it has put into the state after five minutes. The end takes a while. */
const REMEMBERED_MS = 200_000;

type Wrongs = Generator<string, void, undefined>;

/** The conversation as a process has it when everything is over. */
export interface Kept {
  readonly history: readonly Message[];
  readonly onceCalls: Readonly<Record<string, OnceCall>>;
  /** What the state holds: the acts that have returned, by number. */
  readonly acts: readonly number[];
}

export class FleetModel {
  readonly #ledger: FleetLedger;
  readonly #troubles: ReadonlySet<Trouble>;
  /** Whether old turns are trimmed. A trimmed turn that is delivered again is a new one. */
  readonly #trims: boolean;

  constructor(ledger: FleetLedger, { troubles, maxMessages }: FleetTalk) {
    this.#ledger = ledger;
    this.#troubles = troubles;
    this.#trims = maxMessages < 100;
  }

  /** Whether the talk has none of these troubles. */
  #without(...troubles: readonly Trouble[]): boolean {
    return !troubles.some((trouble) => this.#troubles.has(trouble));
  }

  // During the talk.

  /**
   * A tool begins to act. `claim`: the part of the database that says so, if any. `isStored`:
   * whether the database has an earlier call in its turn.
   */
  *wrongsOfAct(
    act: Act,
    claim: string | undefined,
    isStored: (other: Act) => boolean,
  ): Wrongs {
    const earlier = this.#ledger.acts.filter((other) => other.key === act.key && other !== act);
    for (const other of earlier) {
      if (other.tool !== act.tool || other.args !== act.args)
        yield `act ${act.n} has the key of act ${other.n}, which is another call`;
      else if (!isOnce(act) && (other.agent !== act.agent || other.turnId !== act.turnId))
        yield `act ${act.n} has the key of act ${other.n}, of another agent or turn`;
      else if (isOnce(act)
        ? !this.#mayActAgain(other)
        : !this.#mayBeErased(other.delivery) && !this.#mayRepeat(other, act, isStored(other)))
        yield `act ${act.n} repeats act ${other.n}: ${act.tool} ${act.args}`;
    }
    if (isOnce(act) && !act.process.isDead && !/"state":"running"/.test(claim ?? ''))
      yield `act ${act.n} began, and the store has no claim of it: ${claim}`;
  }

  /**
   * Whether a call that acts once may act again after this one. Processes whose messages are lost
   * do not hear what only one of them remembers, and a process that is cut off from its store
   * cannot put its claim back.
   */
  #mayActAgain({ ended, isLost, isForgotten, process }: Act): boolean {
    if (ended === 'did nothing' || isForgotten) return true;
    return isLost && (process.isDead || process.isAway || !this.#without('post'));
  }

  /**
   * Whether an ordinary call may run again in a later run of its turn: if it was interrupted, if
   * its conversation was cleared or its turn trimmed, or in another process that cannot know of it,
   * because the store has no record of it or does not answer. Such calls "run unprotected", as the
   * log says.
   */
  #mayRepeat({ ended, isCleared, process }: Act, again: Act, isStored: boolean): boolean {
    if (ended === 'interrupted' || isCleared || this.#trims) return true;
    return process !== again.process && (!isStored || again.process.isAway);
  }

  /** A model is asked. */
  *wrongsOfPrompt(run: FleetRun, messages: readonly ChatMessage[], nowMs: number): Wrongs {
    let calls: { readonly name: string; readonly args: string }[] = [];
    for (const message of messages) {
      if (message.role === 'assistant') calls = [...(message.toolCalls ?? [])];
      if (message.role !== 'tool') continue;
      const call = calls.shift();
      if (call === undefined) {
        yield `run ${run.n} is shown a result without its call: ${message.content}`;
        continue;
      }
      const shown = `run ${run.n} is shown ${message.content} for ${call.name} ${call.args}`;
      const act = this.#actOf(message.content);
      if (act !== undefined && (act.tool !== call.name || act.args !== call.args)) yield shown;
      if (message.content !== '{"error":"outcome unknown"}') continue;
      if (this.#trims || !this.#without('losses', 'clear')) continue; // its record is gone
      // If there are several such calls, the result may be that of one that is not running: its
      // process died before it began, or a process without its store missed its end.
      const isOfAnother = this.#ledger.runs.some(
        (other) =>
          other !== run
          && other.process.isDead
          && other.calls.has(`${call.name} ${call.args}`),
      );
      if (isOfAnother) continue;
      const acts = this.#ledger.acts.filter(
        ({ tool, args }) => tool === call.name && args === call.args,
      );
      const isRunning = ({ ended, process, beganAtMs }: Act): boolean =>
        ended === 'not yet' && !process.isDead && !process.isUnheard(nowMs)
        && nowMs - beganAtMs < TURN_TIMEOUT_MS;
      const running = acts.every(isRunning) ? acts[0] : undefined;
      if (running !== undefined) yield `${shown}, which runs as act ${running.n}`;
    }
  }

  /** The signal of a run has fired. */
  *wrongsOfAbort(run: FleetRun, nowMs: number): Wrongs {
    if (run.abortReason !== 'a newer turn began' || run.process.isUnheard(nowMs)) return;
    const { deliveries } = this.#ledger;
    // If messages are lost, a living process may count as gone.
    const mayThinkItGone = ({ turn, process, arrivedAtMs, run: own }: FleetDelivery): boolean =>
      turn !== run.turn && process !== run.process
      && (own?.startedAtMs ?? nowMs) - arrivedAtMs >= SILENCE_MS;
    if (!this.#without('post') && deliveries.some(mayThinkItGone)) return;
    // A delivery that joins the turn, or makes it run again, does not make it newer. Nor does one
    // that runs it for the first time, if the turn was over when it got its place.
    const { isKnown } = run.delivery;
    const place = deliveries.findIndex(
      ({ turn, process, run: begun }) =>
        turn === run.turn && (process === run.process || begun !== undefined || isKnown),
    );
    // A turn that was erased or trimmed is new when it is delivered again.
    const isEarlier = ({ n, delivery }: FleetRun): boolean =>
      n < run.n && !this.#trims && !this.#mayBeErased(delivery);
    const later = deliveries.filter(
      (other, index) =>
        other.turn !== run.turn &&
        (index > place
          || other.arrivedAtMs + PROMPT_MS > run.startedAtMs
          || isAtOnce(other, deliveries[place])),
    );
    // Its process might not know yet that another one is running the turn.
    const isTakenOver = run.turn.runs.at(-1) !== run;
    if (later.length === 0 && this.#without('clocks'))
      yield `run ${run.n} was ended by a turn that is not newer`;
    else if (
      !isTakenOver &&
      later.every(({ turn }) => turn.number < run.turn.number && turn.runs.some(isEarlier)) &&
      this.#without('slow', 'down', 'losses', 'clocks')
    )
      yield `run ${run.n} was ended by a late delivery of an older turn`;
  }

  // At the end of the talk.

  *wrongsAtTheEnd({ history, onceCalls, acts }: Kept, nowMs: number): Wrongs {
    yield* this.#wrongsOfWords(history);
    for (const turn of this.#ledger.turns) {
      const messages = messagesOf(turn, history);
      for (const wrong of this.#wrongsOfReply(turn, messages)) yield `${turn.words}: ${wrong}`;
      if (isBeforeItsReport(turn, history))
        for (const wrong of this.#wrongsOfReport(turn, messages)) yield `${turn.words}: ${wrong}`;
      for (const wrong of this.#wrongsOfCalls(messages)) yield `${turn.words}: ${wrong}`;
    }
    yield* this.#wrongsOfResults(history);
    yield* this.#wrongsOfOnceCalls(onceCalls);
    yield* this.#wrongsOnTheWire(history);
    yield* this.#wrongsOfState(acts, history, nowMs);
  }

  *#wrongsOfWords(history: readonly Message[]): Wrongs {
    const { turns } = this.#ledger;
    const spoken = history.filter(({ role }) => role === 'user').map(({ content }) => content);
    if (new Set(spoken).size < spoken.length) yield `words stand twice: ${spoken.join(', ')}`;
    for (const words of spoken)
      if (!turns.some((turn) => turn.words === words)) yield `nobody has said ${words}`;
    for (const turn of turns) {
      const isThere = spoken.includes(turn.words);
      if (!isThere && this.#mustBeKept(turn)) yield `${turn.words} is lost`;
      if (isThere && this.#mustBeGone(turn)) yield `${turn.words} has returned after an erasure`;
    }
    // With clocks apart, nobody knows which of two turns that had to wait arrived first.
    if (!this.#without('losses', 'clocks')) return;
    if (this.#trims && turns.some(({ deliveries }) => deliveries.length > 1)) return;
    const order = spoken.flatMap((words) => turns.filter((turn) => turn.words === words));
    for (const [index, turn] of order.entries())
      if (order.slice(index + 1).some((later) => isOlder(later, turn)))
        yield `history is out of order: ${spoken.join(', ')}`;
  }

  /**
   * Whether no other turn can have caused it to be trimmed: a slow store or a loss may hold a turn
   * up, with clocks apart an older turn may count as newer, and a trimmed turn is newer when it is
   * delivered again.
   */
  #isNewest(turn: FleetTurn): boolean {
    const { turns, runs } = this.#ledger;
    const isLast = turn === turns.at(-1) && turn === runs.at(-1)?.turn;
    const others = turns.slice(0, -1);
    return isLast && this.#without('clocks', 'slow', 'down', 'losses')
      && others.every(({ deliveries }) => deliveries.length === 1);
  }

  /**
   * Whether processes may differ: each trims what it puts back, and with it what says that a call
   * is over.
   */
  get mayDiffer(): boolean {
    return this.#trims && !this.#without('losses');
  }

  /** Whether a living process remembers the turn, or the store had it and has not lost it. */
  #mustBeKept(turn: FleetTurn): boolean {
    if (this.#trims && !this.#isNewest(turn)) return false;
    const { deliveries, isStored } = turn;
    const since = deliveries.filter((delivery) => !this.#mayBeErased(delivery));
    if (isStored && since.length === deliveries.length) return true;
    // A turn that was running during an erasure is not recorded.
    const hasBegun = ({ run }: FleetDelivery): boolean =>
      run !== undefined || this.#ledger.clearings.length === 0;
    return since.some((delivery) => !delivery.process.isDead && hasBegun(delivery));
  }

  /**
   * An erasure takes what is there when the store gets it, for the first time or again after a
   * loss, and what was recorded by a process that was away and did not know of it.
   */
  #mayBeErased({ process, step, wasAway }: FleetDelivery): boolean {
    return this.#ledger.clearings.some((clearing) =>
      step <= clearing.step || isPending(clearing)
      || (clearing.wasStored && step <= clearing.storedBy)
      || (wasAway && !this.#hasRead(process, clearing, step)));
  }

  /** Whether the process knew of the erasure before that step. */
  #hasRead(reader: Process, { process, storedBy }: Clearing, before: number): boolean {
    return reader === process || this.#ledger.deliveries.some(
      (delivery) =>
        delivery.process === reader && delivery.run !== undefined && !delivery.wasAway
        && delivery.step > storedBy && delivery.step < before,
    );
  }

  /**
   * If there are several erasures, the one with the latest mark counts, by the clocks of the
   * processes that made them. A new mark exceeds the one that its process knows, but not one that
   * the store has lost, or that the process cannot read. With clocks apart, a delivery that waited
   * meanwhile is newer.
   */
  #mustBeGone({ deliveries, runs }: FleetTurn): boolean {
    const { clearings } = this.#ledger;
    if (!this.#without('clocks') && deliveries.some(({ run }) => run === undefined)) return false;
    const isLatest = ({ step, mark }: Clearing): boolean =>
      clearings.every((other) => other.step >= step || other.mark < mark);
    return clearings.some(
      (clearing) =>
        isLatest(clearing) &&
        (clearing.storedBy < Infinity || !clearing.process.isDead) &&
        runs.length > 0 &&
        runs.every((run) => run.step < clearing.step) &&
        deliveries.every((delivery) => isBefore(delivery, clearing)),
    );
  }

  *#wrongsOfReply(turn: FleetTurn, messages: readonly Message[]): Wrongs {
    const replies = messages.filter((message) => message.role === 'assistant');
    const pieces = replies.flatMap(({ content, state, toolCalls }) =>
      [...content.matchAll(/a(\d+)\.\d+ /g)].map(([piece, n]) => ({
        piece, n: Number(n), isEarlier: toolCalls !== undefined && state === 'interrupted',
      })),
    );
    const [current, ...others] = new Set(
      pieces.filter(({ isEarlier }) => !isEarlier).map(({ n }) => n),
    );
    if (others.length > 0) yield `has the words of several runs: ${[current, ...others].join(' ')}`;
    const last = replies.at(-1);
    const newest = turn.runs.at(-1);
    const isSteady = this.#without('slow', 'down', 'losses') && !this.#trims;
    const hasSaidAll = last?.state === 'completed' && newest?.abortReason === TAKEN_OVER;
    const isOfNewest = current === undefined || current === newest?.n || this.#isMisled;
    if (!isOfNewest && isSteady && !hasSaidAll)
      yield `has the words of run ${current}, and run ${newest?.n} is the newest`;
    const run = turn.runs.find(({ n }) => n === current);
    const text = pieces.filter(({ n }) => n === current).map(({ piece }) => piece).join('');
    if (current !== undefined && !saidBy(run).startsWith(text) && !this.#isMisled)
      yield `says ${JSON.stringify(text)}; run ${current} said ${JSON.stringify(saidBy(run))}`;
    if (last?.state === 'completed' && text !== saidBy(run))
      yield `is complete with ${JSON.stringify(text)} of ${JSON.stringify(saidBy(run))}`;
    const hasDied = newest?.process.isDead === true;
    if (last?.state === 'open' && !hasDied && !this.#mayBeOpen(turn)) yield 'is still open';
    for (const delivery of turn.deliveries) yield* this.#wrongsOfHeard(delivery, text, last?.state);
  }

  /**
   * Whether a report may cut the wrong turn. A process that has its store, but does not know the
   * reported turn, cuts the newest one. An erasure may take the turn before its report arrives. A
   * trimmed turn that is delivered again brings its report again.
   */
  get #isMisled(): boolean {
    const { turns, clearings } = this.#ledger;
    const isErased = clearings.length > 0;
    if (this.#trims && turns.some(({ deliveries }) => deliveries.length > 1)) return true;
    return turns.some(({ report }) => report !== undefined && (isErased || !report.isKnown));
  }

  /** What was heard of a turn is its reply, whether its run or the report came first. */
  *#wrongsOfReport(turn: FleetTurn, messages: readonly Message[]): Wrongs {
    const { report, runs, deliveries } = turn;
    if (report === undefined || deliveries.length > 1 || runs.length > 1) return; // it ran again
    const { by } = report;
    if (this.#isLaterInBetween(turn, by)) return;
    if (this.#isMisled || by.deliveries.some((delivery) => this.#mayBeErased(delivery))) return;
    if (!this.#mustBeKept(by)) return;
    const replies = messages.filter((message) => message.role === 'assistant');
    const text = replies.map(({ content }) => content).join('');
    // If everything was heard, only the mark tells, and a store that loses its last writes may lose
    // it.
    const mayLackMark = text === saidBy(runs[0]) && !this.#without('losses');
    if (text !== report.text || (replies.at(-1)?.state === 'completed' && !mayLackMark))
      yield `was heard up to ${JSON.stringify(report.text)}, and says ${JSON.stringify(text)}`;
  }

  /** Whether another turn was delivered between the two: a process may think that one newer. */
  #isLaterInBetween(turn: FleetTurn, by: FleetTurn): boolean {
    const { deliveries } = this.#ledger;
    const [first, last] = [turn, by].map((of) => deliveries.findIndex((one) => one.turn === of));
    return deliveries.slice(first, last).some((between) => between.turn !== turn);
  }

  /**
   * A turn whose process has died is closed by the next turn. But a turn that began without the
   * store meets the open one only afterwards, and leaves it to the turn after that, because clocks
   * may be apart. A run that was taken over stores nothing, so its process remembers its turn as
   * open: if the store loses what came after, it gets the open turn back, and the next turn closes
   * that. A process without its store trims what it alone remembers, and puts none of it back. A
   * process whose store has lost everything does not know what others have trimmed.
   */
  #mayBeOpen({ runs, deliveries }: FleetTurn): boolean {
    const isTrimmed = deliveries.length > 1 || !this.#without('slow', 'down', 'losses');
    if (this.#trims && isTrimmed) return true;
    const isDead = runs.some(({ process }) => process.isDead);
    const isGivenAway = runs.some(({ abortReason }) => abortReason === TAKEN_OVER);
    return (isDead && !this.#without('slow', 'down')) || (isGivenAway && !this.#without('losses'));
  }

  /** A reply that somebody heard whole is in history, unless its turn has run again since. */
  *#wrongsOfHeard(delivery: FleetDelivery, text: string, state: string | undefined): Wrongs {
    const { turn, process, caller } = delivery;
    const heard = heardOn(delivery);
    const run = turn.runs.findLast((candidate) => saidBy(candidate) === heard);
    // A later delivery, which has taken the turn, was cut off.
    if (turn.deliveries.slice(turn.deliveries.indexOf(delivery) + 1).some(isCutOff)) return;
    if (heard === '' || caller?.hasEnded !== true || process.isDead) return;
    if (run?.process !== process || run.hasFailed || run.abortReason !== undefined) return;
    if (turn.runs.some(({ n }) => n > run.n)) return;
    if (this.#mayBeErased(delivery) || !this.#mustBeKept(turn)) return;
    if (state === 'completed' && text !== heard && this.#mayConfuseRuns(turn)) return;
    if (turn.report !== undefined || this.#isMisled) return;
    if (text !== heard || state !== 'completed')
      yield `was heard whole, ${JSON.stringify(heard)}, and is ${state}: ${JSON.stringify(text)}`;
  }

  /**
   * Whether another run of the turn may be in its place, if that run has also completed: a store
   * that fails or forgets does not know which of the runs in two processes was later.
   */
  #mayConfuseRuns({ runs }: FleetTurn): boolean {
    const processes = new Set(runs.map(({ process }) => process));
    return processes.size > 1 && !this.#without('losses', 'slow', 'down');
  }

  *#wrongsOfCalls(messages: readonly Message[]): Wrongs {
    for (const [index, message] of messages.entries()) {
      if (message.role !== 'assistant') continue;
      for (const [offset, call] of (message.toolCalls ?? []).entries()) {
        const result = messages[index + 1 + offset];
        if (result?.role !== 'tool' || result.toolCallId !== call.id) {
          yield `has no result behind the call ${call.id}`;
          continue;
        }
        const has = `has ${result.content} for ${call.name} ${call.args}`;
        if (call.name === 'transfer' || UNFINISHED.has(result.content)) continue;
        if (this.#isErasedResult(result.content)) continue;
        const act = this.#actOf(result.content);
        if (act === undefined) yield `${has}, which nobody returned`;
        else if (act.tool !== call.name || act.args !== call.args
          || (act.key !== result.key && !isOnce(act))) // a call may end before it has its key
          yield `${has}, the result of another call`;
        else if (!isOnce(act) && act.agent !== (message.agent ?? 'desk'))
          yield `${has}, the result of ${act.agent}, for ${message.agent ?? 'desk'}`;
      }
    }
    const results = messages.filter(({ role }) => role === 'tool').length;
    const calls = messages.flatMap((message) =>
      message.role === 'assistant' ? (message.toolCalls ?? []) : [],
    );
    if (results > calls.length) yield 'has a result without its call';
  }

  /**
   * A process without its store trims what it remembers. If another run has taken the turn, this
   * one puts back no call that the store has lost.
   */
  #mayLose({ delivery: { run, turn } }: Act): boolean {
    if (this.#trims && !this.#without('slow', 'down', 'losses')) return true;
    return run !== turn.runs.at(-1) && !this.#without('losses');
  }

  /** What a tool returned in a living process is in its turn. */
  *#wrongsOfResults(history: readonly Message[]): Wrongs {
    for (const act of this.#ledger.acts) {
      if (isOnce(act) || act.result === undefined || act.process.isDead) continue;
      if (act.isCleared || this.#mayBeErased(act.delivery)) continue; // it was not recorded
      if (this.#trims && act.delivery.turn.deliveries.length > 1) continue;
      if (this.#mayLose(act)) continue;
      if (!history.some(({ turnId }) => turnId === act.turnId)) continue;
      const found = history.filter((message) => message.role === 'tool' && message.key === act.key);
      if (!found.some(({ content }) => this.#actOf(content)?.key === act.key))
        yield `the result of act ${act.n} is lost; there is ${JSON.stringify(found)}`;
    }
  }

  /**
   * What a tool has put into the state is there once, like its result. If the store loses it, the
   * process that put it there remembers it for a while.
   */
  *#wrongsOfState(kept: readonly number[], history: readonly Message[], nowMs: number): Wrongs {
    const results = history.filter(({ role }) => role === 'tool').map(({ content }) => content);
    for (const act of this.#ledger.acts) {
      const count = kept.filter((n) => n === act.n).length;
      if (count > 1) yield `act ${act.n} is in the state ${count} times: ${kept.join(', ')}`;
      if (count > 0 && act.ended !== 'returned') yield `act ${act.n} is in the state`;
      const isTold = act.result !== undefined && results.includes(act.result);
      const isOld = nowMs - act.beganAtMs > REMEMBERED_MS;
      const isForgotten = (act.process.isDead || isOld) && !this.#without('losses');
      const mayLack = isForgotten || this.#mayBeErased(act.delivery);
      if (act.ended === 'returned' && isTold && count === 0 && !mayLack)
        yield `act ${act.n} has returned, and is not in the state: ${kept.join(', ')}`;
    }
  }

  *#wrongsOfOnceCalls(calls: Readonly<Record<string, OnceCall>>): Wrongs {
    for (const [key, { state, content, tool, process }] of Object.entries(calls)) {
      const acts = this.#ledger.acts.filter((act) => act.key === key);
      const hasReturned = acts.some(({ ended }) => ended === 'returned');
      const isErased = hasReturned && this.#isErasedResult(content);
      if (state === 'completed' && !isErased && !acts.some(({ result }) => result === content))
        yield `${tool} has the result ${content}, which nobody returned`;
      const isAlive = this.#ledger.deliveries.some(
        (delivery) => !delivery.process.isDead && delivery.process.channel.address === process,
      );
      if (state === 'running' && isAlive && !this.mayDiffer)
        yield `${tool} is said to run, and does not`;
    }
    for (const act of this.#ledger.acts) {
      if (!isOnce(act) || act.process.isDead || act.isForgotten) continue;
      const call = calls[act.key];
      if (act.ended === 'returned' && call?.state !== 'completed')
        yield `the result of act ${act.n} is not final: ${JSON.stringify(call)}`;
      const isAlone = this.#ledger.acts.every((other) => other.key !== act.key || other === act);
      if (act.ended === 'threw' && isAlone && call?.state !== 'unknown')
        yield `act ${act.n} threw, and its outcome is not unknown: ${JSON.stringify(call)}`;
      // If a process's messages are lost, others may think it gone, and its calls lost.
      const mayBeLost = !this.#without('post') || this.#mayHaveBegun(act, call?.process);
      if (act.ended === 'did nothing' && isAlone && call?.state === 'unknown' && !mayBeLost)
        yield `act ${act.n} did nothing, and its outcome is unknown`;
    }
  }

  /**
   * Whether a process with that address died while making the same call: as far as others know, a
   * call that it had claimed or announced may have begun.
   */
  #mayHaveBegun({ tool, args }: Act, address: string | undefined): boolean {
    return this.#ledger.runs.some(
      ({ process, calls }) =>
        process.isDead && process.channel.address === address && calls.has(`${tool} ${args}`),
    );
  }

  *#wrongsOnTheWire(history: readonly Message[]): Wrongs {
    for (const delivery of this.#ledger.deliveries) {
      const { turn, caller } = delivery;
      const heard = heardOn(delivery);
      const [own = ''] = heard.split(APOLOGY);
      const isOfRun = turn.runs.some((run) => saidBy(run).startsWith(own));
      if (own !== '' && !isOfRun && !delivery.process.isDead)
        yield `${turn.words}: a caller heard ${JSON.stringify(heard)}`;
      if (!isCutOff(delivery) && caller?.hasEnded === false)
        yield `${turn.words}: a caller still waits`;
    }
    const newest = this.#ledger.turns.at(-1)?.deliveries.at(-1);
    if (newest === undefined || isCutOff(newest)) return;
    // If this turn's process died before storing it, the last turn in history is an older one.
    const last = history.findLast(({ role }) => role === 'user');
    if (last?.content !== newest.turn.words) return;
    if (!this.#without('slow', 'down', 'losses', 'clocks')) return;
    // An older turn that waits for less than `PROMPT_MS` comes last, too, unless it has its
    // place. If this turn was delivered twice in the same millisecond, either delivery may have it.
    const isAlone = this.#ledger.deliveries.every((other) =>
      other.turn === newest.turn
        ? !isAtOnce(other, newest)
        : other.isKnown || other.arrivedAtMs + PROMPT_MS <= newest.arrivedAtMs,
    );
    if (!isAlone) return;
    // It joined a run here while another process, which had an older delivery, took the turn over.
    const joined = newest.run === undefined
      ? newest.turn.runs.findLast(({ process }) => process === newest.process) : undefined;
    if (joined?.abortReason === TAKEN_OVER) return;
    const heard = heardOn(newest);
    const isWhole = newest.turn.runs.some(
      (run) =>
        run.hasFailed
        || run.abortReason === 'the turn failed'
        || (saidBy(run) === heard && heard !== ''),
    );
    if (!isWhole) yield `${newest.turn.words}: the last caller heard ${JSON.stringify(heard)}`;
  }

  /** For a call that acts once, an erasure may leave only the fact that it has acted. */
  #isErasedResult(content: string): boolean {
    return this.#ledger.clearings.length > 0 && ERASED.has(content);
  }

  /** The act that has this result. */
  #actOf(content: string): Act | undefined {
    const [, returned] = /"act":(\d+)\}/.exec(content) ?? [];
    const [, threw] = /^\{"error":"act (\d+) /.exec(content) ?? [];
    const n = returned ?? threw;
    return n === undefined ? undefined : this.#ledger.acts.find((act) => act.n === Number(n));
  }
}

/**
 * Whether the turn arrived before the other one and must precede it: in another process a turn that
 * arrived a moment earlier may open a moment later, and one that is delivered again may open only
 * then. The other turn was opened at the latest by the delivery of its first run: an earlier
 * delivery may have opened it in a process that died.
 */
function isOlder({ deliveries }: FleetTurn, than: FleetTurn): boolean {
  const first = than.deliveries.findIndex(({ run }) => run !== undefined && run === than.runs[0]);
  const opening = first === -1 ? than.deliveries : than.deliveries.slice(0, first + 1);
  // Within a process the order of two requests is known, but another process that runs the turn
  // again knows only the millisecond of its arrival.
  const hasMoved = than.runs.some(({ process }) => process !== opening[0]?.process);
  const isBefore = (own: FleetDelivery, other: FleetDelivery): boolean =>
    own.step < other.step && !(hasMoved && own.arrivedAtMs === other.arrivedAtMs);
  // Any delivery may have opened this turn.
  return deliveries.every((own) =>
    opening.every((other) =>
      own.process === other.process
        ? isBefore(own, other)
        : own.arrivedAtMs + PROMPT_MS <= other.arrivedAtMs,
    ),
  );
}

/** Between two processes, within the same millisecond, nobody knows. */
function isBefore({ step, process, arrivedAtMs }: FleetDelivery, clearing: Clearing): boolean {
  return step < clearing.step && (process === clearing.process || arrivedAtMs < clearing.atMs);
}

/** Whether two processes got them in the same millisecond, so that nobody knows which was first. */
function isAtOnce(a: FleetDelivery, b: FleetDelivery | undefined): boolean {
  return a.process !== b?.process && a.arrivedAtMs === b?.arrivedAtMs;
}

/** A report is about the turn just before it, unless clocks or losses have moved that turn. */
function isBeforeItsReport({ words, report }: FleetTurn, history: readonly Message[]): boolean {
  const spoken = history.filter(({ role }) => role === 'user').map(({ content }) => content);
  const index = spoken.indexOf(words);
  return index !== -1 && spoken[index + 1] === report?.by.words;
}

function messagesOf({ words }: FleetTurn, history: readonly Message[]): readonly Message[] {
  const turnId = history.find(({ role, content }) => role === 'user' && content === words)?.turnId;
  return turnId === undefined ? [] : history.filter((message) => message.turnId === turnId);
}
