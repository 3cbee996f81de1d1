import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../base/awaitable.ts';
import type { Channel } from '../base/channel.ts';
import type { RunElsewhere } from '../conversations/turn-record.ts';
import type { Logger } from '../log.ts';
import type { Delivery } from './delivery.ts';
import { DeliveryElsewhere, type RunForOthers } from './delivery-elsewhere.ts';
import { FollowedRun, type FollowingTurn } from './followed-run.ts';
import { parseProcessMessage, type MessageOf, type ProcessMessage } from './process-message.ts';
import { Question } from './question.ts';

/** What other processes may ask of the turns of this process. */
export interface OwnTurns {
  /** Ends turns of a conversation: those of that run, those of that session, or all. */
  interruptOwn(
    conversationId: string,
    reason: string,
    only: { readonly runId?: number | undefined; readonly sessionId?: string | undefined },
  ): boolean;
  /**
   * Lets another delivery, which `make` creates, take over the stream of a run. Returns false if
   * there is no such run.
   */
  takeOverRun(
    conversationId: string,
    runId: number,
    make: (run: RunForOthers) => Delivery,
  ): boolean;
  /** The delivery's connection closed before all of its stream had left. */
  drop(delivery: Delivery): void;
  /** All of the delivery's stream has left. */
  delivered(delivery: Delivery): void;
  isCallRunning(key: string): boolean;
}

/** What other processes answered. */
export interface AnswerOfOthers {
  /** The run that was asked for, if it is alive. The turn gets its stream from now on. */
  readonly followed: FollowedRun | undefined;
  /** Whether one of them runs the tool call of that key. */
  readonly isCallRunning: (key: string) => boolean;
}

/**
 * The processes that share conversations with this one. This process tells them that a turn of
 * theirs is over, asks what they still run, and passes a stream on if the same turn is delivered to
 * one of them. Messages are hints: a lost one costs tokens or time, but no word.
 */
export class OtherProcesses {
  readonly #channel: Channel;
  readonly #turns: OwnTurns;
  readonly #log: Logger;
  /** By the id of the question, as in the two maps below. */
  readonly #questions = new Map<string, Question>();
  /** Runs of other processes, whose streams this process writes. */
  readonly #followed = new Map<string, FollowedRun>();
  /** Deliveries to other processes, which get the streams of runs of this process. */
  readonly #deliveries = new Map<string, DeliveryElsewhere>();

  constructor(channel: Channel, turns: OwnTurns, log: Logger) {
    this.#channel = channel;
    this.#turns = turns;
    this.#log = log;
    channel.listen((text) => this.#receive(text));
  }

  get ownAddress(): string {
    return this.#channel.address;
  }

  /** Tells a process to end one of its runs. */
  interrupt(conversationId: string, { process, runId }: RunElsewhere, sessionId?: string): void {
    this.#send(process, { type: 'interrupt', conversationId, runId, sessionId });
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
   * `same` is the run of the same turn; if it is alive, `turn` gets its stream. Takes at most
   * 150 ms.
   */
  async ask(
    conversationId: string,
    same: RunElsewhere | undefined,
    calls: ReadonlyMap<string, readonly string[]>,
    turn: FollowingTurn,
  ): Promise<AnswerOfOthers> {
    const id = randomUUID();
    const asked = new Set(calls.keys());
    if (same !== undefined) asked.add(same.process);
    const question = new Question(asked);
    this.#questions.set(id, question);
    const followed = same === undefined ? undefined : this.#follow(id, same.process, turn);
    for (const process of asked) {
      this.#send(process, {
        type: 'ask',
        id,
        from: this.ownAddress,
        conversationId,
        runId: process === same?.process ? same.runId : undefined,
        calls: calls.get(process) ?? [],
      });
    }
    await question.answered;
    this.#questions.delete(id);
    if (!question.isFollowing) followed?.close();
    return {
      followed: question.isFollowing ? followed : undefined,
      isCallRunning: (key) => question.calls.has(key),
    };
  }

  /** Waits no longer for what other processes say about replies that are complete. */
  close(): void {
    for (const delivery of this.#deliveries.values())
      if (delivery.isAwaited) this.#giveUp(delivery);
  }

  #giveUp(delivery: DeliveryElsewhere): void {
    delivery.giveUp();
    this.#turns.delivered(delivery);
  }

  #follow(id: string, process: string, turn: FollowingTurn): FollowedRun {
    const followed = new FollowedRun(turn, {
      closed: () => this.#followed.delete(id),
      left: (sent, hasEnded) => this.#send(process, { type: 'left', id, sent, hasEnded }),
    });
    this.#followed.set(id, followed);
    return followed;
  }

  #send(address: string, message: ProcessMessage): void {
    this.#channel.send(address, JSON.stringify(message));
  }

  #receive(text: string): void {
    const message = parseProcessMessage(text);
    if (message === undefined) {
      this.#log.warn('a message from another process was not understood');
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
        return this.#questions.get(message.id)?.answer(message);
      case 'alive':
        return this.#followed.get(message.id)?.alive();
      case 'event':
        return this.#followed.get(message.id)?.event(message.event, message.sent);
      case 'end':
        return this.#followed.get(message.id)?.ended(message.report, message.sent);
      case 'left': {
        const { id, sent, hasEnded = false } = message;
        const delivery = this.#deliveries.get(id);
        delivery?.left(sent, hasEnded);
        if (delivery === undefined) return;
        if (hasEnded) this.#turns.delivered(delivery);
        else this.#turns.drop(delivery);
        return;
      }
      default:
        message satisfies never;
    }
  }

  #answer({ id, from, conversationId, runId, calls }: MessageOf<'ask'>): void {
    const running = calls.filter((key) => this.#turns.isCallRunning(key));
    const answer = (isFollowing: boolean): void => {
      const own = this.ownAddress;
      this.#send(from, { type: 'answer', id, from: own, calls: running, isFollowing });
    };
    const isTakenOver =
      runId !== undefined &&
      this.#turns.takeOverRun(conversationId, runId, (run) => {
        answer(true); // has to arrive before the events
        return this.#deliverTo(from, id, run);
      });
    if (!isTakenOver) answer(false);
  }

  /** A delivery whose stream goes to the process that asked. */
  #deliverTo(process: string, id: string, run: RunForOthers): Delivery {
    let sent = 0;
    const delivery: DeliveryElsewhere = new DeliveryElsewhere(run, {
      send: (event) => this.#send(process, { type: 'event', id, sent: sent++, event }),
      alive: () => this.#send(process, { type: 'alive', id }),
      // Without the error: it is logged here, and not every error has a form in JSON.
      ended: ({ outcome, usage, speakers }) =>
        this.#send(process, { type: 'end', id, sent, report: { outcome, usage, speakers } }),
      silent: () => this.#giveUp(delivery),
      closed: () => this.#deliveries.delete(id),
    });
    this.#deliveries.set(id, delivery);
    return delivery;
  }
}
