import { andThen, toAwaitable, type Awaitable } from '../../base/awaitable.ts';
import type { Channel } from '../../base/channel.ts';
import { within } from '../../base/time-limit.ts';
import type { Logger } from '../../log.ts';
import { clearTurns, hasOpenTurn, type Conversation } from '../conversation.ts';
import { mergeTurns, turnsLostBy } from '../merge-turns.ts';
import type { ConversationStore, StoreHealth } from '../store.ts';
import type { TurnRecord } from '../turn-record.ts';
import type { PartsChange, PartStore, StoredConversation } from './part-store.ts';
import { PartedConversation } from './parted-conversation.ts';
import { Remembered } from './remembered.ts';

export interface SharedStoreOptions {
  /** A conversation without a change for this long is dropped. */
  readonly ttlMs: number;
  /** How many conversations are remembered, so that turns need not read them again. */
  readonly maxRemembered: number;
  /** Their total length in UTF-16 code units. Default 67,108,864. */
  readonly maxCharacters?: number;
  /** A command that takes longer counts as failed. */
  readonly timeoutMs: number;
  readonly log: Logger;
  /** To the other processes that use the store. Default: no messages are exchanged. */
  readonly channel?: Channel | undefined;
  /** Bounds of what is kept for a store that does not answer. Default 10,000 and 67,108,864. */
  readonly maxTurnsWaiting?: number;
  readonly maxCharactersWaiting?: number;
}

/** A conversation with an open turn is kept longer by this: somebody is on the line. */
const OPEN_TURN_MS = 3_600_000;
/** Per change. There are more only if other processes write the conversation all the time. */
const MAX_CONFLICTS = 20;
/** Between attempts to reach a store that did not answer. */
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 2_000;
/** How long closing may write what is waiting. */
const CLOSING_MS = 2_000;

const MAX_CHARACTERS = 67_108_864;

/** The result of a command that failed or took too long. */
const FAILED = Symbol('failed');

interface Waiting {
  readonly kept: PartedConversation;
  readonly turns: number;
  readonly characters: number;
}

/**
 * Conversations in a store of parts, which other processes may share.
 *
 * A change costs one round trip, as this process remembers what it saw last: the parts that the
 * change touched are written if the conversation still has that version. If not, the answer
 * contains the current one, and the change is made again on that.
 *
 * A store that fails or answers late holds up no caller. Changes are then made on what is
 * remembered. When the store answers again, the turns they touched are merged into the stored
 * conversation one by one.
 */
export class SharedStore implements ConversationStore {
  readonly channel: Channel | undefined;
  readonly #parts: PartStore;
  readonly #ttlMs: number;
  readonly #timeoutMs: number;
  readonly #log: Logger;
  readonly #maxTurnsWaiting: number;
  readonly #maxCharactersWaiting: number;
  readonly #remembered: Remembered;
  /** Conversations with changes that are not stored yet, the oldest first. */
  readonly #waiting = new Map<string, Waiting>();
  #turnsWaiting = 0;
  #charactersWaiting = 0;
  /** The last pending call of each conversation. */
  readonly #lastCalls = new Map<string, Promise<void>>();
  #isDegraded = false;
  /** From the first failure until all that waited is written. Meanwhile the store may answer. */
  #isOutage = false;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #failures = 0;
  /** How often the store may have lost data while it did not answer. */
  #losses = 0;
  /** What was written last. */
  #lastId = '';
  #lastVersion: string | undefined;
  #conflicts = 0;
  #closed: Promise<void> | undefined;

  constructor(parts: PartStore, options: SharedStoreOptions) {
    this.#parts = parts;
    this.channel = options.channel;
    this.#ttlMs = options.ttlMs;
    this.#timeoutMs = options.timeoutMs;
    this.#log = options.log;
    this.#maxTurnsWaiting = options.maxTurnsWaiting ?? 10_000;
    this.#maxCharactersWaiting = options.maxCharactersWaiting ?? MAX_CHARACTERS;
    this.#remembered = new Remembered({
      maxConversations: options.maxRemembered,
      maxCharacters: options.maxCharacters ?? MAX_CHARACTERS,
      ttlMs: options.ttlMs,
    });
  }

  read(id: string): Awaitable<Conversation | undefined> {
    return this.#inOrder(id, () =>
      andThen(this.#latest(id), (kept) =>
        kept === undefined || kept.isEmpty ? undefined : kept.snapshot(),
      ),
    );
  }

  update<T>(id: string, change: (conversation: Conversation) => T): Awaitable<T> {
    return this.#inOrder(id, () => {
      if (this.#isDegraded || this.#waiting.has(id)) return this.#changeHere(id, change);
      const remembered = this.#remembered.get(id);
      if (remembered !== undefined) return this.#write(id, remembered, change);
      return andThen(this.#latest(id), (latest) =>
        this.#isDegraded
          ? this.#changeHere(id, change)
          : this.#write(id, latest ?? new PartedConversation(id), change, true),
      );
    });
  }

  count(): Awaitable<number> {
    return andThen(
      this.#ask(() => this.#parts.count()),
      (count) => (count === FAILED ? NaN : count),
    );
  }

  health(): StoreHealth {
    return {
      isDegraded: this.#isDegraded,
      turnsWaiting: this.#turnsWaiting,
      failures: this.#failures,
      conflicts: this.#conflicts,
    };
  }

  /** Writes what is waiting, if the store answers. Takes a bounded time. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    clearTimeout(this.#retry);
    await Promise.all(this.#lastCalls.values());
    if (this.#waiting.size > 0) await within(CLOSING_MS, this.#writeBack()).catch(() => undefined);
    if (this.#turnsWaiting > 0)
      this.#log.error('history lost: the store did not answer', { turns: this.#turnsWaiting });
    await this.channel?.close();
    await this.#parts.close();
  }

  /** Makes the calls of one conversation one after another. */
  #inOrder<T>(id: string, call: () => Awaitable<T>): Awaitable<T> {
    const last = this.#lastCalls.get(id);
    const answer = last === undefined ? call() : last.then(call);
    if (!(answer instanceof Promise)) return answer;
    const ended = (): void => {
      if (this.#lastCalls.get(id) === done) this.#lastCalls.delete(id);
    };
    const done = answer.then(ended, ended); // the caller handles the failure
    this.#lastCalls.set(id, done);
    return answer;
  }

  /** As it is stored or, if the store does not answer, as it is remembered. */
  #latest(id: string): Awaitable<PartedConversation | undefined> {
    const remembered = this.#waiting.get(id)?.kept ?? this.#remembered.get(id);
    if (this.#isDegraded || this.#waiting.has(id)) return remembered;
    return andThen(
      this.#ask(() => this.#parts.read(id, remembered?.version)),
      (found) => {
        if (found === FAILED || found === 'unchanged') return remembered;
        return found === undefined ? undefined : this.#join(id, found);
      },
    );
  }

  #join(id: string, stored: StoredConversation): PartedConversation {
    const kept = new PartedConversation(id, stored);
    if (kept.unreadable.length > 0)
      this.#log.error('parts of a stored conversation cannot be read and were left out', {
        conversationId: id,
        parts: kept.unreadable,
      });
    kept.lossesSeen = this.#losses;
    this.#remembered.set(id, kept);
    return kept;
  }

  /**
   * What the store has, with what it lost and this process remembers: its last writes after a
   * failover, everything after a restart. What is gone without a loss was removed on purpose.
   */
  #merged(
    id: string,
    found: StoredConversation | undefined,
    kept: PartedConversation,
    remembered: readonly TurnRecord[],
  ): PartedConversation {
    if (found !== undefined) {
      const latest = this.#join(id, found);
      if (kept.isCleared) clearTurns(latest.conversation);
      const lost = turnsLostBy(latest.conversation, remembered, kept.touched);
      mergeTurns(latest.conversation, lost);
      return latest;
    }
    const anew = new PartedConversation(id);
    if (kept.lossesSeen === this.#losses) return anew;
    mergeTurns(anew.conversation, remembered);
    anew.takeHeadOf(kept);
    return anew;
  }

  /** `isLatest`: it was read just now. */
  #write<T>(
    id: string,
    kept: PartedConversation,
    change: (conversation: Conversation) => T,
    isLatest = false,
    conflicts = 0,
  ): Awaitable<T> {
    const { turns } = kept.conversation;
    const newest = turns.at(-1);
    const result = change(kept.conversation);
    kept.noteAdded();
    const again = (found: StoredConversation | undefined): Awaitable<T> => {
      if (conflicts === MAX_CONFLICTS) {
        this.#remembered.delete(id); // it has the change, which was not stored
        throw new Error(`other processes changed the conversation ${MAX_CONFLICTS} times`);
      }
      this.#conflicts += 1;
      // Without what this attempt has added.
      const remembered = newest === undefined ? [] : turns.slice(0, turns.indexOf(newest) + 1);
      const latest = this.#merged(id, found, kept, remembered);
      return this.#write(id, latest, change, true, conflicts + 1);
    };
    const parts = kept.change(this.#ttlOf(kept));
    if (parts === undefined) {
      if (isLatest) return result;
      return andThen(
        this.#ask(() => this.#parts.read(id, kept.version)),
        (found) => (found === FAILED || found === 'unchanged' ? result : again(found)),
      );
    }
    return andThen(
      this.#ask(() => this.#parts.write(id, parts)),
      (answer) => {
        if (answer === FAILED) this.#wait(id, kept);
        else if (answer === true) this.#written(id, kept, parts);
        else return again(answer);
        return result;
      },
    );
  }

  #written(id: string, kept: PartedConversation, parts: PartsChange): void {
    kept.written(parts);
    kept.lossesSeen = this.#losses;
    if (kept.isEmpty) this.#remembered.delete(id);
    else {
      this.#remembered.set(id, kept);
      this.#lastId = id;
      this.#lastVersion = parts.to;
    }
  }

  #ttlOf({ conversation }: PartedConversation): number {
    return this.#ttlMs + (hasOpenTurn(conversation) ? OPEN_TURN_MS : 0);
  }

  #ask<T>(command: () => Awaitable<T>): Awaitable<T | typeof FAILED> {
    try {
      const answer = toAwaitable(command());
      if (!(answer instanceof Promise)) return answer;
      return within(this.#timeoutMs, answer).catch((error: unknown) => this.#failed(error));
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error: unknown): typeof FAILED {
    this.#failures += 1;
    this.#isDegraded = true;
    if (!this.#isOutage) {
      this.#isOutage = true;
      const store = this.#parts.name;
      this.#log.error('the conversation store failed; calls continue from memory', { store, error });
    }
    this.#retryLater();
    return FAILED;
  }

  #retryLater(): void {
    if (this.#retry !== undefined || this.#closed !== undefined) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#recover().catch((error: unknown) => this.#failed(error));
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
  }

  /** Reads an id that no conversation has, to see whether the store answers. */
  async #recover(): Promise<void> {
    if ((await this.#ask(() => this.#parts.read(''))) === FAILED) return;
    const last = await this.#ask(() => this.#parts.read(this.#lastId, this.#lastVersion));
    // If the last write is still there, everything before it is, too.
    if (last !== 'unchanged') this.#losses += 1;
    if (last === FAILED) {
      this.#lastId = ''; // the next attempt must not fail because of this one alone
      return;
    }
    this.#isDegraded = false;
    await this.#writeBack();
    if (this.#isDegraded) return;
    if (this.#waiting.size > 0) return this.#retryLater();
    this.#retryMs = FIRST_RETRY_MS;
    this.#isOutage = false;
    this.#log.info('the conversation store answers again', { store: this.#parts.name });
  }

  async #writeBack(): Promise<void> {
    for (const id of [...this.#waiting.keys()]) {
      await this.#inOrder(id, () => this.#writeBackOne(id));
      if (this.#isDegraded && this.#closed === undefined) return;
    }
  }

  #writeBackOne(id: string, conflicts = 0): Awaitable<void> {
    const kept = this.#waiting.get(id)?.kept;
    if (kept === undefined) return;
    const parts = kept.change(this.#ttlOf(kept));
    if (parts === undefined) return this.#noLongerWaiting(id);
    return andThen(
      this.#ask(() => this.#parts.write(id, parts)),
      (answer) => {
        // To the end of the queue: perhaps only this one cannot be written.
        if (answer === FAILED) return this.#wait(id, kept);
        if (answer === true) {
          this.#written(id, kept, parts);
          return this.#noLongerWaiting(id);
        }
        const merged = this.#merged(id, answer, kept, kept.conversation.turns);
        mergeTurns(merged.conversation, kept.waitingTurns());
        merged.takeHeadOf(kept);
        this.#wait(id, merged);
        return conflicts < MAX_CONFLICTS ? this.#writeBackOne(id, conflicts + 1) : undefined;
      },
    );
  }

  /** Makes a change without the store: on what is remembered, or on a new conversation. */
  #changeHere<T>(id: string, change: (conversation: Conversation) => T): T {
    const kept =
      this.#waiting.get(id)?.kept ?? this.#remembered.get(id) ?? new PartedConversation(id);
    kept.conversation.isBehind = true;
    let result: T;
    try {
      result = change(kept.conversation);
    } finally {
      delete kept.conversation.isBehind;
    }
    kept.noteAdded();
    if (kept.hasChanged) this.#wait(id, kept);
    return result;
  }

  #wait(id: string, kept: PartedConversation): void {
    this.#noLongerWaiting(id);
    kept.forgetUnsaved();
    const turns = Math.max(kept.touched.size, 1); // a state or a caller alone takes room, too
    const characters = kept.conversation.textLength;
    this.#waiting.set(id, { kept, turns, characters });
    this.#remembered.set(id, kept);
    this.#turnsWaiting += turns;
    this.#charactersWaiting += characters;
    while (
      this.#turnsWaiting > this.#maxTurnsWaiting ||
      this.#charactersWaiting > this.#maxCharactersWaiting
    ) {
      const [oldest] = this.#waiting.keys();
      if (oldest === undefined || oldest === id) return;
      const lost = this.#waiting.get(oldest)?.turns;
      this.#noLongerWaiting(oldest);
      this.#log.error('history lost: too much is waiting for the store', {
        conversationId: oldest,
        turns: lost,
      });
    }
  }

  #noLongerWaiting(id: string): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    this.#turnsWaiting -= waiting.turns;
    this.#charactersWaiting -= waiting.characters;
  }
}
