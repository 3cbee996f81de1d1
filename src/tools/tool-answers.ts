import type { Awaitable } from '../base/awaitable.ts';
import { atMost } from '../base/time-limit.ts';
import type { Conversation } from '../conversations/conversation.ts';
import type { Logger } from '../log.ts';
import type { ToolHost } from './tool-calling-turn.ts';
import type { ToolAnswer } from './tool-question.ts';

/** How many processes are told of the end of one call. */
const MAX_WAITING = 1_000;

/**
 * How long an answer waits until the store has back what it has lost. Shorter than a question waits
 * for answers, so that a process whose store hangs still says what it knows.
 */
const PUT_BACK_MS = 100;

/** What another process asks. */
export interface AskedToolCalls {
  /** Its address. */
  readonly from: string;
  readonly conversationId: string;
  /** Keys. */
  readonly calls: readonly string[];
}

/** What this process answers. */
export type OwnToolAnswer = Omit<ToolAnswer, 'from'>;

/** The answers of this process to others that ask about its tool calls. */
export class ToolAnswers {
  readonly #host: Pick<ToolHost, 'calls' | 'conversations' | 'process'>;
  readonly #tellEnded: (process: string, key: string) => void;
  readonly #log: Logger;
  /** Processes that wait for a call of this one, by its key. */
  readonly #waiting = new Map<string, Set<string>>();

  /** `tellEnded`: reports the end of a call to a process that was told that it runs. */
  constructor(
    host: Pick<ToolHost, 'calls' | 'conversations' | 'process'>,
    tellEnded: (process: string, key: string) => void,
    log: Logger,
  ) {
    this.#host = host;
    this.#tellEnded = tellEnded;
    this.#log = log;
  }

  /** Which of the calls run here, so that they are not lost. */
  running({ from, conversationId, calls: keys }: AskedToolCalls): OwnToolAnswer {
    const { calls, conversations, process } = this.#host;
    // Until its end is stored, a call must not count as lost.
    return this.#answer(from, keys.filter((key) =>
      calls.isRunning(key) || conversations.isEndUnstored(conversationId, key, process)));
  }

  /**
   * Which of the calls act here or have been claimed, for a process that is about to claim them.
   * First puts back what the store has lost of the conversation. `letAhead` returns the keys that
   * this process is about to claim, too, and leaves to that one. It is asked twice, as a call may
   * have begun while the store was waited for. What was left once stays so.
   */
  claimed(
    { from, conversationId, calls: keys }: AskedToolCalls,
    letAhead: () => ReadonlySet<string>,
  ): Awaitable<OwnToolAnswer> {
    const { calls } = this.#host;
    const left = new Set<string>();
    const actingNow = (): readonly string[] => {
      for (const key of letAhead()) left.add(key);
      return keys.filter((key) => calls.isClaimed(key) || (calls.isAsking(key) && !left.has(key)));
    };
    const putBack = this.#putBack(conversationId, keys);
    const acting = actingNow();
    // If all of them act here, the answer need not wait for the store: it could only say the same.
    if (acting.length === keys.length) return this.#answer(from, acting, []);
    return atMost(PUT_BACK_MS, putBack).then((claimed) =>
      this.#answer(from, actingNow(), claimed ?? this.#remembered(conversationId, keys)));
  }

  #answer(from: string, running: readonly string[], claimed?: readonly string[]): OwnToolAnswer {
    const { calls } = this.#host;
    for (const key of running) if (calls.isRunning(key)) this.#noteWaiting(key, from);
    return { calls: running, claimed, idle: running.filter(calls.isIdle) };
  }

  /** Returns the keys that this process has claimed, once the store has those claims. */
  async #putBack(conversationId: string, keys: readonly string[]): Promise<readonly string[]> {
    if (keys.length === 0) return keys;
    try {
      return this.#ownClaims(await this.#host.conversations.recall(conversationId), keys);
    } catch (error) {
      this.#log.warn('a conversation could not be put back', { conversationId, error });
      return this.#remembered(conversationId, keys);
    }
  }

  /** The same, at once: what the store has lost is not back yet. */
  #remembered(conversationId: string, keys: readonly string[]): readonly string[] {
    return this.#ownClaims(this.#host.conversations.remembered(conversationId), keys);
  }

  #ownClaims(conversation: Conversation | undefined, keys: readonly string[]): readonly string[] {
    const { calls, process: own } = this.#host;
    const claims = conversation?.onceCalls ?? {};
    return keys.filter((key) => {
      const claim = claims[key];
      if (claim === undefined || claim.process !== own) return false;
      // A call that the store does not let begin says nothing of one that is over.
      return claim.state !== 'running' || !calls.isIdle(key);
    });
  }

  /** The process is told when the call's result is stored. */
  #noteWaiting(key: string, process: string): void {
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      if (waiting.size < MAX_WAITING) waiting.add(process);
      return;
    }
    this.#waiting.set(key, new Set([process]));
    this.#host.calls.whenStored(key, () => {
      for (const address of this.#waiting.get(key) ?? []) this.#tellEnded(address, key);
      this.#waiting.delete(key);
    });
  }
}
