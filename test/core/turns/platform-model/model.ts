// What must be true of a talk with a platform. The model knows what can be seen from outside, and
// nothing about how the server works.

import type { Message } from '../../../../src/core/conversations/message.ts';
import { FILLER, lettersOf, ownLettersOf } from './call.ts';
import {
  hasEffects, isSaidAgain, isUnclear, mayComeAfter, wantsReply, wasOpenElsewhere,
  type Act, type Attempt, type Delivery, type PlatformLedger, type Run, type ToldHistory,
  type ToldUtterance,
} from './ledger.ts';

export const APOLOGY = 'Sorry, something went wrong. Could you say that again?';

type Wrongs = Generator<string, void, undefined>;

export interface ModelOptions {
  readonly settleMs: number;
  /** Whether each request stands alone. */
  readonly isAnonymous: boolean;
}

export class PlatformModel {
  readonly #ledger: PlatformLedger;
  readonly #options: ModelOptions;

  constructor(ledger: PlatformLedger, options: ModelOptions) {
    this.#ledger = ledger;
    this.#options = options;
  }

  // During the talk.

  /** A tool begins to act. */
  *wrongsOfAct(act: Act): Wrongs {
    const { run, beganAtMs } = act;
    const alike = this.#ledger.acts.filter(
      ({ n, tool, args }) => n !== act.n && tool === act.tool && args === act.args,
    );
    for (const other of this.#ledger.acts)
      if (other.n !== act.n && other.key === act.key && !alike.includes(other))
        yield `act ${act.n} has the key of act ${other.n}, which is another call`;
    if (!hasEffects(act)) return;
    if (this.#options.isAnonymous) {
      if (act.tool === 'pay') yield `act ${act.n} acts once in a call that has no name`;
      return;
    }
    for (const other of alike)
      if (!mayActAgain(other, act))
        yield `act ${act.n} repeats act ${other.n}, which ${other.ended}`;
    if (run.abortReason !== undefined)
      yield `act ${act.n} begins after run ${run.n} was ended: ${run.abortReason}`;
    const newer = this.#ledger.runs.filter(({ attempt }) => attempt.n > run.attempt.n);
    for (const other of newer)
      if (!other.knownKeys.has(act.key))
        yield `act ${act.n} of run ${run.n} begins after run ${other.n} has replaced it`;
    const arrivedAtMs = run.attempt.deliveries[0]?.arrivedAtMs ?? 0;
    if (beganAtMs < arrivedAtMs + this.#options.settleMs)
      yield `act ${act.n} begins ${beganAtMs - arrivedAtMs} ms after its request`;
  }

  /** The agent is asked. `answered`: what the state says. */
  *wrongsOfRun(run: Run, history: readonly Message[], answered: readonly number[]): Wrongs {
    const { attempt } = run;
    if (!this.#mayReply(attempt)) yield `run ${run.n} answers a request that wants no reply`;
    const place = history.findLastIndex(({ role }) => role === 'user');
    const words = history[place]?.content;
    if (words !== attempt.words) yield `run ${run.n} is asked ${JSON.stringify(words)} last`;
    const isKnown = (n: number): boolean => !wasOpenElsewhere(n, attempt);
    for (const wrong of this.#wrongsOfHistory(history.slice(0, place), attempt.told, isKnown))
      yield `run ${run.n} is shown a wrong history: ${wrong}`;
    yield* this.#wrongsOfState(run, answered);
  }

  /** Nobody knows whether a request that stands alone is late. */
  #mayReply(attempt: Attempt): boolean {
    if (wantsReply(attempt)) return true;
    return attempt.kind === 'late' && (this.#options.isAnonymous || isUnclear(attempt));
  }

  *#wrongsOfState({ n, attempt }: Run, answered: readonly number[]): Wrongs {
    const { corrects } = attempt;
    if (corrects === undefined || !answered.includes(corrects.n) || isUnclear(attempt)) return;
    const isAffected = this.#ledger.acts.some(
      (act) => hasEffects(act) && act.run.attempt.utterance === attempt.utterance,
    );
    // While another request's call is running, nobody can say which of the two has changed what.
    const arrivedAtMs = corrects.deliveries[0]?.arrivedAtMs ?? 0;
    const mayBeOfCall = this.#ledger.acts.some(({ tool, run, endedAtMs = Infinity }) =>
      hasEffects({ tool }) && run.attempt !== corrects && endedAtMs >= arrivedAtMs);
    if (!isAffected && !mayBeOfCall)
      yield `run ${n} is shown the state of request ${corrects.n}, which it replaces`;
  }

  /**
   * History must have what the caller said, and what was heard after it. `isKnown`: whether the
   * replies to that utterance can be known.
   */
  *#wrongsOfHistory(
    history: readonly Message[], { all, sent }: ToldHistory, isKnown: (n: number) => boolean,
  ): Wrongs {
    const groups: { words: string; own: string }[] = [];
    for (const { role, content } of history) {
      if (role === 'user' && content !== '') groups.push({ words: content, own: '' });
      const last = groups.at(-1);
      if (role === 'assistant' && last !== undefined) last.own += ownLettersOf(content);
    }
    const words = groups.map((group) => group.words);
    const known = this.#options.isAnonymous ? all.slice(all.length - sent) : all;
    const said = known.map((told) => told.words);
    // If the platform leaves out older messages, repeated words do not tell where it begins.
    const isUncertain = sent < said.length && new Set(words).size < words.length;
    if (isUncertain) {
      const certain = said.filter((_words, n) =>
        this.#options.isAnonymous || !isSaidAgain(n, this.#ledger));
      if (!isWithin(certain, words))
        yield `${JSON.stringify(certain)} is not in ${JSON.stringify(words)}`;
    } else if (words.length > said.length && this.#mayHaveMore(said, words)) return;
    else if (words.join('|') !== said.join('|'))
      yield `the caller said ${JSON.stringify(said)}, history has ${JSON.stringify(words)}`;
    else
      for (const [back, told] of all.toReversed().entries()) {
        if (back >= sent) break;
        const { own = '' } = groups.at(-1 - back) ?? {};
        const n = all.length - 1 - back;
        // For a request that stands alone, only the platform's texts are known.
        if (this.#options.isAnonymous) continue;
        if (!isKnown(n)) continue;
        if (own !== told.heard && !this.#mayHave(own, n, told))
          yield `after ${JSON.stringify(told.words)} ${told.heard} was heard, history has ${own}`;
      }
  }

  /**
   * Whether history may have this after utterance `n`, because several processes answered it. If
   * the platform tells nothing about the reply, what a process says until it learns that the caller
   * has gone on elsewhere stays. The filler of a run that was taken over is not known elsewhere. If
   * its request comes back to its process too soon, that run is heard and the other one is kept.
   */
  #mayHave(own: string, n: number, { isUntold }: ToldUtterance): boolean {
    if (own === '') return false;
    const { attempts } = this.#ledger;
    const asked = attempts.filter(({ utterance }) => utterance.n === n);
    const processes = asked.flatMap(({ deliveries }) => deliveries.map(({ process }) => process));
    if (new Set(processes).size > 1 && lettersOf(FILLER).startsWith(own)) return true;
    const isLate = attempts.some((later) => later.utterance.n > n && wasOpenElsewhere(n, later));
    const saidBy = ({ pieces, hasFailed }: Run): string =>
      lettersOf(pieces.join('') + (hasFailed ? APOLOGY : ''));
    return ((isUntold && isLate) || asked.some(hasComeBack))
      && asked.some(({ runs }) => runs.some((run) => saidBy(run).startsWith(own)));
  }

  /** Whether all other words in history are words that may have been corrected. */
  #mayHaveMore(said: readonly string[], words: readonly string[]): boolean {
    const unclear = this.#ledger.attempts.filter(mayComeAfter);
    const spare = unclear.map(({ corrects }) => corrects?.words);
    const left = [...words];
    for (const each of said) {
      const place = left.indexOf(each);
      if (place >= 0) left.splice(place, 1);
    }
    const isExplained = left.every((each) => {
      const place = spare.indexOf(each);
      if (place >= 0) spare.splice(place, 1);
      return place >= 0;
    });
    return isExplained && isWithin(said, words);
  }

  // At the end of the talk.

  *wrongsAtTheEnd(history: readonly Message[]): Wrongs {
    const last = this.#ledger.attempts.findLast(wantsReply);
    if (last !== undefined && !this.#options.isAnonymous) {
      const place = history.findLastIndex(({ role }) => role === 'user');
      const words = history[place]?.content;
      if (words !== last.words) yield `history ends with ${JSON.stringify(words)}`;
      yield* this.#wrongsOfHistory(history.slice(0, place), last.told, () => true);
    }
    if (last !== undefined) yield* this.#wrongsOfLastReply(last);
    for (const attempt of this.#ledger.attempts)
      for (const delivery of attempt.deliveries) yield* this.#wrongsOfReply(delivery);
  }

  *#wrongsOfReply(delivery: Delivery): Wrongs {
    const { attempt, connection } = delivery;
    const { status, roles, finishes, dones, goesOn, text, isDropped } = connection;
    const name = `the reply to request ${attempt.n}`;
    if (goesOn) yield `${name} goes on behind its end`;
    const joined = joinedBy(delivery);
    if (!this.#mayReply(attempt) && joined.length === 0 && text !== '')
      yield `${name} says ${text}`;
    const own = withoutFillers(text).replace(lettersOf(APOLOGY), '');
    const isOfRun = [...attempt.runs, ...joined].some(
      (run) => lettersOf(run.pieces.join('')).startsWith(own));
    if (own !== '' && !isOfRun) yield `${name} says ${text}`;
    if (isDropped) return;
    if (status !== 200 || roles !== 1 || finishes.length !== 1 || dones !== 1)
      yield `${name} has status ${status}, ${roles} roles, ${finishes} and ${dones} ends`;
  }

  *#wrongsOfLastReply(attempt: Attempt): Wrongs {
    const { connection } = attempt.deliveries.at(-1) ?? {};
    if (connection === undefined || connection.isDropped) return;
    const own = withoutFillers(connection.text);
    const isWhole = attempt.runs.some(
      ({ pieces, hasFailed }) =>
        own === lettersOf(pieces.join('') + (hasFailed ? APOLOGY : '')),
    );
    if (!isWhole) yield `the last reply is ${JSON.stringify(connection.text)}`;
  }
}

/** Whether the request was sent again to another process, and then to one that had it before. */
function hasComeBack({ deliveries }: Attempt): boolean {
  const places = deliveries.map(({ process }) => process);
  return places.some((place, index) =>
    place !== places[index - 1] && places.slice(0, index).includes(place));
}

/**
 * The runs that a late request continues, because it repeats theirs, word by word: their process
 * does not know yet that the caller has gone on elsewhere.
 */
function joinedBy({ attempt, openRuns, process: here }: Delivery): readonly Run[] {
  const { kind, utterance, words } = attempt;
  return openRuns.filter(({ attempt: other }) =>
    kind === 'late' && other.utterance === utterance && other.words === words
    && other.deliveries.some(({ process }) => process === here));
}

/** Whether all of `some` are in the list, in order. */
function isWithin(some: readonly string[], list: readonly string[]): boolean {
  let next = 0;
  for (const each of list) if (each === some[next]) next += 1;
  return next === some.length;
}

/** Whether a call may begin again: the first is not known to have done anything. */
function mayActAgain({ ended }: Act, { tool }: Act): boolean {
  return ended === 'interrupted' || (tool === 'pay' && ended === 'did nothing');
}

function withoutFillers(text: string): string {
  return lettersOf(text).replaceAll(lettersOf(FILLER), '');
}
