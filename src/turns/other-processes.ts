import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../base/awaitable.ts';
import type { Channel } from '../base/channel.ts';
import type { RunElsewhere } from '../conversations/turn-record.ts';
import type { ReplyEvent } from '../layercode/dialect.ts';
import type { Logger } from '../log.ts';
import type { Delivery, TurnReport } from './delivery.ts';
import { DeliveryElsewhere } from './delivery-elsewhere.ts';
import { parseProcessMessage, type ProcessMessage } from './process-message.ts';

/** How long a process has to answer. One that does not is taken for dead. */
const ANSWER_MS = 150;
/** A stream that is handed on shows a sign of life more often than that. */
const SILENCE_MS = 3_000;

/** The turns of this process, as far as other processes may ask for them. */
export interface OwnTurns {
  /** Ends a conversation's turns: those of that run, of that session, or all. */
  interruptOwn(
    conversationId: string,
    reason: string,
    only: { readonly runId?: number | undefined; readonly sessionId?: string | undefined },
  ): boolean;
  /** Hands the stream of a run to another delivery. False where there is no such run. */
  handOver(conversationId: string, runId: number, to: (from: Delivery) => Delivery): boolean;
  /** The delivery's connection closed before all of its stream had left. */
  drop(delivery: Delivery): void;
  isCallRunning(key: string): boolean;
}

/** A turn whose stream another process hands over. */
export interface Follower {
  followed(event: ReplyEvent): void;
  followEnded(report: Pick<TurnReport, 'outcome' | 'usage' | 'speakers'>): void;
  /** The other process is gone. */
  followLost(): void;
}

/** What other processes answered. */
export interface AnswerOfOthers {
  /** The turn gets the stream of the run that was asked for. */
  readonly isFollowing: boolean;
  /** Whether a tool call runs in one of them. */
  readonly isCallRunning: (key: string) => boolean;
}

interface Question {
  /** Processes that have not answered. */
  readonly silent: Set<string>;
  readonly calls: Set<string>;
  isFollowing: boolean;
  readonly done: () => void;
}

interface Following {
  readonly process: string;
  readonly follower: Follower;
  /** Set anew with every message. */
  readonly silence: NodeJS.Timeout;
  /** Events that came. */
  received: number;
}

/**
 * The processes that share conversations with this one. Tells them that a turn of theirs is over,
 * asks what they still run, and hands a stream on when a turn is delivered again to another
 * process. All of it is a hint: a message that is lost costs tokens or time, and no word.
 */
export class OtherProcesses {
  readonly #channel: Channel;
  readonly #turns: OwnTurns;
  readonly #log: Logger;
  readonly #questions = new Map<string, Question>();
  readonly #following = new Map<string, Following>();
  readonly #handedOver = new Map<string, DeliveryElsewhere>();

  constructor(channel: Channel, turns: OwnTurns, log: Logger) {
    this.#channel = channel;
    this.#turns = turns;
    this.#log = log;
    channel.listen((text) => this.#receive(text));
  }

  get ownAddress(): string {
    return this.#channel.address;
  }

  /** Tells a process that a run of its is over. */
  interrupt(conversationId: string, { process, runId }: RunElsewhere, sessionId?: string): void {
    this.#send(process, { type: 'interrupt', conversationId, runId, sessionId });
  }

  /** Tells all processes that run turns of a conversation, or of one of its sessions. */
  async interruptAll(
    conversationId: string,
    findRuns: () => Awaitable<readonly RunElsewhere[]>,
    sessionId: string | undefined,
  ): Promise<void> {
    try {
      for (const run of await findRuns()) this.interrupt(conversationId, run, sessionId);
    } catch (error) {
      this.#log.warn('turns of other processes could not be ended', { conversationId, error });
    }
  }

  /**
   * Asks what runs elsewhere. With `same`, the run of the same delivery, the follower gets its
   * stream from then on, if it runs. Takes 150 ms at the most.
   */
  async ask(
    conversationId: string,
    same: RunElsewhere | undefined,
    calls: ReadonlyMap<string, readonly string[]>,
    follower: Follower,
  ): Promise<AnswerOfOthers> {
    const id = randomUUID();
    const silent = new Set(calls.keys());
    if (same !== undefined) silent.add(same.process);
    const found = new Set<string>();
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ANSWER_MS);
      const question = { silent, calls: found, isFollowing: false, done: resolve };
      this.#questions.set(id, question);
    });
    if (same !== undefined) this.#follow(id, same.process, follower);
    for (const process of silent) {
      this.#send(process, {
        type: 'ask',
        id,
        from: this.ownAddress,
        conversationId,
        runId: process === same?.process ? same.runId : undefined,
        calls: calls.get(process) ?? [],
      });
    }
    await answered;
    clearTimeout(timer);
    const isFollowing = this.#questions.get(id)?.isFollowing === true;
    this.#questions.delete(id);
    if (!isFollowing) this.#unfollow(id);
    return { isFollowing, isCallRunning: (key) => found.has(key) };
  }

  /** The follower's caller has left, whom `sent` of the events have reached. */
  leave(follower: Follower, sent: number): void {
    for (const [id, following] of this.#following) {
      if (following.follower !== follower) continue;
      this.#send(following.process, { type: 'left', id, sent });
      this.#unfollow(id);
    }
  }

  #follow(id: string, process: string, follower: Follower): void {
    const silence = setTimeout(() => this.#lose(id), SILENCE_MS);
    this.#following.set(id, { process, follower, silence, received: 0 });
  }

  #lose(id: string): void {
    const following = this.#following.get(id);
    this.#unfollow(id);
    following?.follower.followLost();
  }

  /** The stream, if all of it has come that was sent before. */
  #unbroken(id: string, sent: number): Following | undefined {
    const following = this.#following.get(id);
    if (following === undefined || following.received === sent) return following;
    this.#lose(id);
    return undefined;
  }

  #unfollow(id: string): void {
    clearTimeout(this.#following.get(id)?.silence);
    this.#following.delete(id);
  }

  #send(address: string, message: ProcessMessage): void {
    this.#channel.send(address, JSON.stringify(message));
  }

  #receive(text: string): void {
    const message = parseProcessMessage(text);
    if (message === undefined) {
      this.#log.warn('a message of another process was not understood');
      return;
    }
    switch (message.type) {
      case 'interrupt': {
        const { conversationId, runId, sessionId } = message;
        this.#turns.interruptOwn(conversationId, 'a newer turn began', { runId, sessionId });
        return;
      }
      case 'ask':
        return this.#answer(message);
      case 'answer':
        return this.#answered(message);
      case 'alive':
        this.#following.get(message.id)?.silence.refresh();
        return;
      case 'event': {
        const following = this.#unbroken(message.id, message.sent);
        if (following === undefined) return;
        following.received += 1;
        following.silence.refresh();
        following.follower.followed(message.event);
        return;
      }
      case 'end': {
        const following = this.#unbroken(message.id, message.sent);
        this.#unfollow(message.id);
        following?.follower.followEnded(message.report);
        return;
      }
      case 'left': {
        const delivery = this.#handedOver.get(message.id);
        if (delivery === undefined) return;
        this.#handedOver.delete(message.id);
        delivery.left(message.sent);
        this.#turns.drop(delivery);
        return;
      }
      default:
        message satisfies never;
    }
  }

  #answer(question: Extract<ProcessMessage, { readonly type: 'ask' }>): void {
    const { id, from, conversationId, runId } = question;
    const calls = question.calls.filter((key) => this.#turns.isCallRunning(key));
    const answer = (isFollowing: boolean): void =>
      this.#send(from, { type: 'answer', id, from: this.ownAddress, calls, isFollowing });
    const handedOver =
      runId !== undefined &&
      this.#turns.handOver(conversationId, runId, (older) => {
        answer(true); // before the events
        let sent = 0;
        const delivery = new DeliveryElsewhere(older, {
          send: (event) => this.#send(from, { type: 'event', id, sent: sent++, event }),
          alive: () => this.#send(from, { type: 'alive', id }),
          ended: ({ outcome, usage, speakers }) => {
            this.#handedOver.delete(id);
            // Not the error, which this process logs: no JSON can be made of some.
            this.#send(from, { type: 'end', id, sent, report: { outcome, usage, speakers } });
          },
        });
        this.#handedOver.set(id, delivery);
        return delivery;
      });
    if (!handedOver) answer(false);
  }

  #answered(answer: Extract<ProcessMessage, { readonly type: 'answer' }>): void {
    const question = this.#questions.get(answer.id);
    if (question?.silent.delete(answer.from) !== true) return;
    for (const key of answer.calls) question.calls.add(key);
    question.isFollowing ||= answer.isFollowing;
    if (question.silent.size === 0 || question.isFollowing) question.done();
  }
}
