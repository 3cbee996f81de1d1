import { randomUUID } from 'node:crypto';

import { andThen, type Awaitable } from '../base/awaitable.ts';
import { EVERYONE, type Channel } from '../base/channel.ts';
import type { RunElsewhere } from '../conversations/turn-record.ts';
import type { Logger } from '../log.ts';
import { ToolAnswers } from '../tools/tool-answers.ts';
import type { ToolHost } from '../tools/tool-calling-turn.ts';
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
export interface OwnTurns extends Pick<ToolHost, 'calls' | 'conversations' | 'process'> {
  /** Interrupts turns of a conversation. */
  interruptOwn(conversationId: string, reason: string, only: TurnsToEnd): boolean;
  /** Another process runs the turn of that run from now on: its run is `by`, if it says so. */
  giveAway(conversationId: string, runId: number, by: number | undefined): void;
}

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
  readonly #claiming = new Map<string, Set<Question>>();
  /** What waits here for calls of other processes, by key. */
  readonly #awaiting = new Map<string, Set<() => void>>();
  readonly #peers: Peers;
  readonly #answers: ToolAnswers;
  readonly #marks: ErasureMarks;

  constructor(channel: Channel, turns: OwnTurns, log: Logger) {
    this.#channel = channel;
    this.#turns = turns;
    this.#log = log;
    this.#peers = new Peers(channel, () => this.#askEveryone(randomUUID(), '', []));
    this.#answers = new ToolAnswers(
      turns, (process, key) => this.#send(process, { type: 'call ended', key }), log,
    );
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

  /** Stops reading conversations and clears its timers. The channel is closed by its owner. */
  close(): void {
    this.#marks.close();
    this.#peers.close();
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
    for (const key of keys)
      this.#claiming.set(key, (this.#claiming.get(key) ?? new Set()).add(question));
    const strangers = [...known].filter((process) => !peers.all.has(process));
    const isOpen = peers.mayLackSome || asked.size === 0;
    for (let count = 0; count < MAX_UNANSWERED; count++) {
      const silent = strangers.filter((process) => question.silent.has(process));
      // Not about a call whose turn is over by now: other processes would wait for it.
      const asking = keys.filter(this.#turns.calls.isAsking);
      this.#askEveryone(id, conversationId, asking, silent);
      await question.answered(isOpen && count === 0);
      if (question.silent.size === 0) break;
    }
    this.#questions.delete(id);
    for (const key of keys) {
      const open = this.#claiming.get(key);
      open?.delete(question);
      if (open?.size === 0) this.#claiming.delete(key);
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

  #answer(question: MessageOf<'ask'>): void {
    const { id, from, calls, isClaiming = false } = question;
    if (from === this.ownAddress) return;
    if (isClaiming) this.#peers.note(from);
    const answer = isClaiming
      ? this.#answers.claimed(question, () => this.#letAhead(from, calls))
      : this.#answers.running(question);
    void andThen(answer, (own) => this.#send(from, {
      type: 'answer', id, from: this.ownAddress, ...own, isFollowing: false,
    }));
  }

  /**
   * Of two processes that ask at the same time before they claim a key, the one with the lower
   * address goes first. The other waits for its call: both claims could succeed if the store lost
   * the first. Returns the keys that this process leaves to the other.
   */
  #letAhead(process: string, keys: readonly string[]): ReadonlySet<string> {
    const left = process < this.ownAddress ? keys.filter((key) => this.#claiming.has(key)) : [];
    for (const key of left)
      for (const question of this.#claiming.get(key) ?? []) question.letAhead(process, key);
    return new Set(left);
  }
}
