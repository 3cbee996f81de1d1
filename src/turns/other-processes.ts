import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../base/awaitable.ts';
import { EVERYONE, type Channel } from '../base/channel.ts';
import { atMost } from '../base/time-limit.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { RunElsewhere } from '../conversations/turn-record.ts';
import type { Logger } from '../log.ts';
import {
  MAX_UNANSWERED, Question, type Answers, type AnswersOfAll,
} from '../tools/tool-question.ts';
import { ErasureMarks } from './erasure-marks.ts';
import { Peers } from './peers.ts';
import { parseProcessMessage, type MessageOf, type ProcessMessage } from './process-message.ts';

/** Which turns another process wants to end. */
export interface TurnsToEnd {
  /** Only that run. */
  readonly runId?: number | undefined;
  /** Only those of that session. */
  readonly sessionId?: string | undefined;
}

/** What other processes may ask of the turns of this process. */
export interface OwnTurns {
  readonly conversations: Pick<ConversationManager, 'recall' | 'remembered' | 'isStoreAway'>;
  /** Interrupts turns of a conversation. */
  interruptOwn(conversationId: string, reason: string, only: TurnsToEnd): boolean;
  /** Another process runs the turn of that run from now on: its run is `by`, if it says so. */
  giveAway(conversationId: string, runId: number, by: number | undefined): void;
  isCallRunning(key: string): boolean;
  /** Whether such a call has ended, and the store does not say so yet. */
  isEndUnstored(conversationId: string, key: string): boolean;
  /** The same, but false for a call that waits for one of another process. */
  isCallClaimed(key: string): boolean;
  /** Whether others are being asked about a call, which may claim its key then. */
  isCallAsking(key: string): boolean;
  /** Whether nothing began under the key, though its claim may be in the store. */
  isCallIdle(key: string): boolean;
  /**
   * Puts back what the store has lost of a conversation. Returns the keys that this process
   * remembers having claimed.
   */
  claimedOf(conversationId: string, keys: readonly string[]): Awaitable<readonly string[]>;
  /** The same keys, at once: what the store has lost is not back yet. */
  rememberedClaims(conversationId: string, keys: readonly string[]): readonly string[];
  /** Calls `listener` once the results of the calls with that key are stored. */
  whenStored(key: string, listener: () => void): void;
}

/** The most processes that are told of the end of a call. */
const MAX_WAITING = 1_000;

/**
 * How long an answer waits until the store has back what it has lost. Shorter than a question waits
 * for answers, so that a process whose store hangs still says what it knows.
 */
const PUT_BACK_MS = 100;

/**
 * The processes that share conversations with this one. This process tells them that a turn of
 * theirs is over, and asks what they still run. Messages are hints: a lost one costs tokens or
 * time, but no words. If the store has lost a claim as well, a lost answer can cost a second act.
 */
export class OtherProcesses {
  readonly #channel: Channel;
  readonly #turns: OwnTurns;
  readonly #log: Logger;
  /** By the id of the question. */
  readonly #questions = new Map<string, Question>();
  /** The open questions to everyone, by the keys that are to be claimed. */
  readonly #claiming = new Map<string, Question>();
  /** What waits here for calls of other processes, by key. */
  readonly #awaiting = new Map<string, Set<() => void>>();
  readonly #peers: Peers;
  readonly #marks: ErasureMarks;
  /** Processes that wait for a call of this one, by its key. */
  readonly #waiting = new Map<string, Set<string>>();

  constructor(channel: Channel, turns: OwnTurns, log: Logger) {
    this.#channel = channel;
    this.#turns = turns;
    this.#log = log;
    this.#peers = new Peers(channel, () => this.#askEveryone(randomUUID(), '', []));
    this.#marks = new ErasureMarks(turns.conversations, log);
    const reopened = (): void => {
      this.#peers.reopened();
      this.#marks.reopened();
    };
    channel.listen((text) => this.#receive(text), reopened);
    this.#peers.greet();
  }

  get ownAddress(): string {
    return this.#channel.address;
  }

  /** Reads no conversation any more. The channel is closed by its owner. */
  close(): void {
    this.#marks.close();
  }

  /**
   * A conversation was erased here. All others read the mark at once: a store that lost it would
   * get the conversation back from what they remember.
   */
  erased(conversationId: string): void {
    this.#marks.note(conversationId);
    this.#send(EVERYONE, { type: 'erased', conversationId });
  }

  /** Tells a process to end one of its runs. */
  interrupt(conversationId: string, { process, runId }: RunElsewhere, sessionId?: string): void {
    this.#send(process, { type: 'interrupt', conversationId, runId, sessionId });
  }

  /** Tells a process that the run `by` of this one has the turn of one of its runs from now on. */
  takeOver(conversationId: string, { process, runId }: RunElsewhere, by: number): void {
    this.#send(process, { type: 'interrupt', conversationId, runId, isTakenOver: true, by });
  }

  /** Tells all processes to end their turns of a conversation, or of one of its sessions. */
  async interruptAll(
    conversationId: string,
    findRuns: () => Awaitable<readonly RunElsewhere[]>,
    sessionId: string | undefined,
  ): Promise<void> {
    try {
      for (const run of await findRuns()) this.interrupt(conversationId, run, sessionId);
    } catch (error) {
      this.#log.warn('turns in other processes could not be ended', { conversationId, error });
    }
  }

  /**
   * Asks processes which tool calls they run: `calls` has the keys by the address of the process.
   * Those that do not answer are asked again, `tries` times in all. Each takes at most 150 ms.
   */
  async ask(
    conversationId: string,
    calls: ReadonlyMap<string, readonly string[]>,
    tries = 1,
  ): Promise<Answers> {
    const id = randomUUID();
    const question = new Question(calls);
    this.#questions.set(id, question);
    const from = this.ownAddress;
    for (let count = 0; count < tries && question.silent.size > 0; count++) {
      for (const process of question.silent) {
        const keys = calls.get(process) ?? [];
        this.#send(process, { type: 'ask', id, from, conversationId, calls: keys });
      }
      await question.answered();
    }
    this.#questions.delete(id);
    question.areDoubtful = this.#peers.isDoubtful(question.silent.size > 0);
    return question;
  }

  /** See `OtherToolCalls`. */
  async askAll(
    conversationId: string,
    keys: readonly string[],
    known: ReadonlySet<string>,
  ): Promise<AnswersOfAll> {
    const peers = this.#peers;
    const asked = new Map([...peers.all, ...known].map((process) => [process, keys] as const));
    const id = randomUUID();
    const question = new Question(asked, keys);
    this.#questions.set(id, question);
    for (const key of keys) this.#claiming.set(key, question);
    const strangers = [...known].filter((process) => !peers.all.has(process));
    const isOpen = peers.mayLackSome || asked.size === 0;
    for (let count = 0; count < MAX_UNANSWERED; count++) {
      const silent = strangers.filter((process) => question.silent.has(process));
      // Not about a call whose turn is over by now: they would wait for it.
      const asking = keys.filter((key) => this.#turns.isCallAsking(key));
      this.#askEveryone(id, conversationId, asking, silent);
      await question.answered(isOpen && count === 0);
      if (question.silent.size === 0) break;
    }
    this.#questions.delete(id);
    for (const key of keys) {
      if (this.#claiming.get(key) === question) this.#claiming.delete(key);
    }
    question.areDoubtful = peers.askedAll(question.silent, question.hasAnswers);
    return question;
  }

  /**
   * `others`: processes that may not receive messages to everyone, so that each is asked by name.
   */
  #askEveryone(
    id: string,
    conversationId: string,
    calls: readonly string[],
    others: readonly string[] = [],
  ): void {
    const from = this.ownAddress;
    for (const process of [EVERYONE, ...others])
      this.#send(process, { type: 'ask', id, from, conversationId, calls, isClaiming: true });
  }

  /** Calls `listener` when another process says that its call with that key has ended. */
  awaitCall(key: string, listener: () => void): void {
    this.#awaiting.set(key, (this.#awaiting.get(key) ?? new Set()).add(listener));
  }

  stopAwaiting(key: string, listener: () => void): void {
    const listeners = this.#awaiting.get(key);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#awaiting.delete(key);
  }

  #send(address: string, message: ProcessMessage): void {
    this.#channel.send(address, JSON.stringify(message));
  }

  #receive(text: string): void {
    let message: ProcessMessage | undefined;
    try {
      message = parseProcessMessage(text);
    } catch (error) {
      this.#log.warn('a message from another process was not understood', { error });
      return;
    }
    switch (message?.type) {
      case 'interrupt': {
        const { conversationId, runId, sessionId, isTakenOver, by } = message;
        if (isTakenOver === true && runId !== undefined)
          this.#turns.giveAway(conversationId, runId, by);
        else this.#turns.interruptOwn(conversationId, 'a newer turn began', { runId, sessionId });
        return;
      }
      case 'ask':
        return this.#answer(message);
      case 'answer':
        if (message.claimed !== undefined) this.#peers.note(message.from);
        return this.#questions.get(message.id)?.answer(message);
      case 'call ended':
        for (const listener of [...(this.#awaiting.get(message.key) ?? [])]) listener();
        return;
      case 'erased':
        return void this.#marks.read(message.conversationId);
      case undefined:
        return; // of another version
      default:
        message satisfies never;
    }
  }

  #answer({ id, from, conversationId, calls, isClaiming }: MessageOf<'ask'>): void {
    if (from === this.ownAddress) return;
    const answer = (running: readonly string[], claimed?: readonly string[]): void => {
      for (const key of running)
        if (this.#turns.isCallRunning(key)) this.#noteWaiting(key, from);
      const own = this.ownAddress;
      const idle = running.filter((key) => this.#turns.isCallIdle(key));
      this.#send(from, {
        type: 'answer', id, from: own, calls: running, claimed, idle, isFollowing: false,
      });
    };
    if (isClaiming !== true) {
      // Until its end is stored, a call must not count as lost.
      return answer(calls.filter((key) =>
        this.#turns.isCallRunning(key) || this.#turns.isEndUnstored(conversationId, key)));
    }
    this.#peers.note(from);
    const ahead = this.#letAhead(from, calls);
    const isActing = (key: string): boolean =>
      this.#turns.isCallClaimed(key) || (this.#turns.isCallAsking(key) && !ahead.has(key));
    const acting = (): string[] => calls.filter(isActing);
    const claimed = this.#claimedOf(conversationId, calls);
    const now = acting();
    // If all of them run here, the answer need not wait for the store: it could only say the same.
    if (now.length > 0 && now.length === calls.length) answer(now, []);
    else {
      void atMost(PUT_BACK_MS, claimed).then((keys) =>
        answer(acting(), keys ?? this.#turns.rememberedClaims(conversationId, calls)));
    }
  }

  /**
   * Of two processes that ask at the same time before they claim a key, the one with the lower
   * address goes first. The other waits for its call: both claims could succeed if the store lost
   * the first. Returns the keys that this process leaves to the other.
   */
  #letAhead(process: string, keys: readonly string[]): ReadonlySet<string> {
    const left = process < this.ownAddress ? keys.filter((key) => this.#claiming.has(key)) : [];
    for (const key of left) this.#claiming.get(key)?.letAhead(process, key);
    return new Set(left);
  }

  async #claimedOf(conversationId: string, keys: readonly string[]): Promise<readonly string[]> {
    if (keys.length === 0) return keys;
    try {
      return await this.#turns.claimedOf(conversationId, keys);
    } catch (error) {
      this.#log.warn('a conversation could not be put back', { conversationId, error });
      return this.#turns.rememberedClaims(conversationId, keys);
    }
  }

  /** The process is told when the call's result is stored. */
  #noteWaiting(key: string, process: string): void {
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      if (waiting.size < MAX_WAITING) waiting.add(process);
      return;
    }
    this.#waiting.set(key, new Set([process]));
    this.#turns.whenStored(key, () => {
      for (const address of this.#waiting.get(key) ?? [])
        this.#send(address, { type: 'call ended', key });
      this.#waiting.delete(key);
    });
  }
}
