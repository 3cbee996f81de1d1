import type { Channel } from '../../base/channel.ts';
import { isId, isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import type { Logger } from '../../base/log.ts';
import { atMost } from '../../base/time-limit.ts';
import type { Conversation } from '../conversations/conversation.ts';
import { openRunsElsewhere } from '../conversations/elsewhere.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { RunElsewhere } from '../conversations/turn-record.ts';
import type { OtherToolCalls } from '../tools/tool-call-elsewhere.ts';

/** The turns of this process, which others may have ended. */
export interface OwnTurns {
  readonly conversations: Pick<ConversationManager, 'read'>;
  /** Ends those turns of the conversation that another process has taken over or ended. */
  compare(conversationId: string, conversation: Conversation | undefined): void;
  /** Interrupts the turns of a session, or all of them if `sessionId` is empty. */
  interruptOwn(conversationId: string, reason: string, sessionId: string): void;
  /** Whether a turn of the conversation is running here. */
  isAnyRunning(conversationId: string): boolean;
}

/** Look at the conversation: it has changed in the store, unless the sender is `waiting`. */
interface ProcessMessage {
  readonly type: 'look';
  readonly conversationId: string;
  /** The sender, if it is waiting for one of the receiver's calls and wants to hear of its end. */
  readonly waiting?: string | undefined;
  /** The caller has left that session, or all of them if it is empty. The store does not say so. */
  readonly left?: string | undefined;
}

/** How often a conversation is read, however many messages come. */
const LOOK_EVERY_MS = 1_000;
/**
 * Maximum number of conversations with a message within that time. Beyond this, messages are
 * dropped.
 */
const MAX_LOOKS = 10_000;
/**
 * Maximum number of conversations in which others wait for calls of this process, and of such
 * processes per conversation.
 */
const MAX_WAITING = 1_000;
const MAX_PROCESSES = 100;

/**
 * The processes that share conversations with this one. The truth is in the store. A message only
 * says that it is worth looking there, and a lost one costs tokens or a second.
 */
export class OtherProcesses implements OtherToolCalls {
  readonly #channel: Channel;
  readonly #turns: OwnTurns;
  readonly #log: Logger;
  /** Those waiting here for calls of other processes, by conversation. */
  readonly #listeners = new Map<string, Set<() => void>>();
  /** The processes that wait for calls of this one, by conversation. */
  readonly #waiting = new Map<string, Set<string>>();
  /** The conversations that were read a moment ago, and whether a message has come since. */
  readonly #looks = new Map<string, 'read' | 'due'>();

  constructor(channel: Channel, turns: OwnTurns, log: Logger) {
    this.#channel = channel;
    this.#turns = turns;
    this.#log = log;
    channel.listen((text) => this.#receive(text));
  }

  /** Tells processes that their turns of the conversation have been ended or taken over. */
  ended(conversationId: string, runs: readonly RunElsewhere[]): void {
    for (const process of new Set(runs.map((run) => run.process)))
      this.#send(process, { type: 'look', conversationId });
  }

  /**
   * Tells the others that the caller has left the conversation, or that session of it. Never
   * rejects.
   */
  async callerLeft(conversationId: string, sessionId = ''): Promise<void> {
    const { conversations } = this.#turns;
    const own = this.#channel.address;
    try {
      const conversation = await conversations.read(conversationId);
      const runs = conversation === undefined ? [] : openRunsElsewhere(conversation, own);
      for (const process of new Set(runs.map((run) => run.process)))
        this.#send(process, { type: 'look', conversationId, left: sessionId });
    } catch (error) {
      this.#log.warn('turns in other processes could not be ended', { conversationId, error });
    }
  }

  /** See `OtherToolCalls`. */
  awaitCall(conversationId: string, process: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(conversationId) ?? new Set();
    this.#listeners.set(conversationId, listeners.add(listener));
    this.#send(process, { type: 'look', conversationId, waiting: this.#channel.address });
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(conversationId);
    };
  }

  /** Resolves when one of the processes says that the conversation has changed, or after `ms`. */
  async callsEnded(
    conversationId: string,
    processes: readonly string[],
    ms: number,
  ): Promise<void> {
    let stops: readonly (() => void)[] = [];
    const changed = new Promise<void>((resolve) => {
      stops = processes.map((process) => this.awaitCall(conversationId, process, resolve));
    });
    await atMost(ms, changed);
    for (const stop of stops) stop();
  }

  /** See `OtherToolCalls`. */
  callEnded(conversationId: string): void {
    const waiting = this.#waiting.get(conversationId) ?? [];
    this.#waiting.delete(conversationId);
    for (const process of waiting) this.#send(process, { type: 'look', conversationId });
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
    if (message === undefined) return; // from another version
    const { conversationId, waiting, left } = message;
    if (left !== undefined)
      this.#turns.interruptOwn(conversationId, 'the caller has left', left);
    // Nothing has changed yet for the sender, and reading now would delay a read that is needed.
    if (waiting !== undefined) this.#noteWaiting(conversationId, waiting);
    else this.#look(conversationId);
  }

  #noteWaiting(conversationId: string, process: string): void {
    const waiting = this.#waiting.get(conversationId) ?? new Set();
    if (waiting.size < MAX_PROCESSES) this.#waiting.set(conversationId, waiting.add(process));
    const [oldest] = this.#waiting.keys();
    if (oldest !== undefined && this.#waiting.size > MAX_WAITING) this.#waiting.delete(oldest);
  }

  /** Reads the conversation, but not twice in a second. */
  #look(conversationId: string): void {
    const isOfInterest =
      this.#turns.isAnyRunning(conversationId) || this.#listeners.has(conversationId);
    if (!isOfInterest) return;
    if (this.#looks.has(conversationId)) return void this.#looks.set(conversationId, 'due');
    if (this.#looks.size >= MAX_LOOKS) return;
    this.#looks.set(conversationId, 'read');
    setTimeout(() => {
      const isDue = this.#looks.get(conversationId) === 'due';
      this.#looks.delete(conversationId);
      if (isDue) this.#look(conversationId);
    }, LOOK_EVERY_MS).unref();
    void this.#lookNow(conversationId);
  }

  async #lookNow(conversationId: string): Promise<void> {
    try {
      if (this.#turns.isAnyRunning(conversationId))
        this.#turns.compare(
          conversationId, await this.#turns.conversations.read(conversationId),
        );
    } catch (error) {
      this.#log.debug('a conversation could not be read', { conversationId, error });
    }
    for (const listener of [...(this.#listeners.get(conversationId) ?? [])]) listener();
  }
}

/**
 * Undefined for a message of another type: a newer or an older version may have sent it. Throws a
 * `TypeError` for anything else that is not a message.
 */
export function parseProcessMessage(json: string): ProcessMessage | undefined {
  const value = parseJson(json);
  const type = isObject(value) ? value['type'] : undefined;
  if (!isObject(value) || typeof type !== 'string')
    throw new TypeError('a message must be an object with a type');
  if (type !== 'look') return undefined;
  const { conversationId, waiting, left } = value;
  if (typeof conversationId !== 'string') throw notA('conversationId', 'a string');
  if (waiting !== undefined && !isId(waiting)) throw notA('waiting', 'an address');
  if (left !== undefined && typeof left !== 'string') throw notA('left', 'a string');
  return { type, conversationId, waiting, left };
}

function notA(name: string, expected: string): TypeError {
  return new TypeError(`${name} of a message "look" must be ${expected}`);
}
