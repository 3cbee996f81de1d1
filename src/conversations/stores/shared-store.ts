import { andThen, type Awaitable } from '../../base/awaitable.ts';
import type { Channel } from '../../base/channel.ts';
import { within } from '../../base/time-limit.ts';
import type { Logger } from '../../log.ts';
import { clearTurns, hasOpenTurn, type Conversation } from '../conversation.ts';
import { mergeTurns, turnsLostBy } from '../merge-turns.ts';
import type { OnceCalls } from '../once-call.ts';
import type { ConversationStore, StoreHealth, UpdateOptions } from '../store.ts';
import type { TurnRecord } from '../turn-record.ts';
import { FAILED, Outage } from './outage.ts';
import type { PartsChange, PartStore, StoredConversation } from './part-store.ts';
import { PartedConversation } from './parted-conversation.ts';
import { Remembered } from './remembered.ts';
import { SerialByKey } from './serial-by-key.ts';
import { StoreError } from './store-error.ts';
import { WaitingChanges } from './waiting-changes.ts';

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
/** How long closing may write what is waiting. */
const CLOSING_MS = 2_000;

const MAX_CHARACTERS = 67_108_864;

/** How a change is written. */
interface Writing {
  readonly mustBeStored: boolean;
  /** Whether the conversation was read just now. */
  readonly isLatest: boolean;
  readonly conflicts: number;
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
  readonly isShared = true;
  readonly channel: Channel | undefined;
  readonly #parts: PartStore;
  readonly #ttlMs: number;
  readonly #log: Logger;
  readonly #outage: Outage;
  readonly #remembered: Remembered;
  readonly #waiting: WaitingChanges;
  readonly #order = new SerialByKey();
  #conflicts = 0;
  #closed: Promise<void> | undefined;

  constructor(parts: PartStore, options: SharedStoreOptions) {
    this.#parts = parts;
    this.channel = options.channel;
    this.#ttlMs = options.ttlMs;
    this.#log = options.log;
    this.#outage = new Outage(parts, {
      timeoutMs: options.timeoutMs,
      log: options.log,
      recovered: async () => {
        await this.#writeBack();
        return this.#waiting.size === 0;
      },
    });
    this.#waiting = new WaitingChanges(
      {
        maxTurns: options.maxTurnsWaiting ?? 10_000,
        maxCharacters: options.maxCharactersWaiting ?? MAX_CHARACTERS,
      },
      options.log,
    );
    this.#remembered = new Remembered({
      maxConversations: options.maxRemembered,
      maxCharacters: options.maxCharacters ?? MAX_CHARACTERS,
      ttlMs: options.ttlMs,
    });
  }

  read(id: string): Awaitable<Conversation | undefined> {
    return this.#order.run(id, () =>
      andThen(this.#latest(id), (kept) =>
        kept === undefined || kept.isEmpty ? undefined : kept.snapshot(),
      ),
    );
  }

  update<T>(
    id: string,
    change: (conversation: Conversation) => T,
    { mustBeStored = false }: UpdateOptions = {},
  ): Awaitable<T> {
    const changeHere = (): Awaitable<T> =>
      mustBeStored ? notStored() : this.#changeHere(id, change);
    return this.#order.run(id, () => {
      if (this.#outage.isDegraded || this.#waiting.has(id)) return changeHere();
      const writing = { mustBeStored, isLatest: false, conflicts: 0 };
      const remembered = this.#remembered.get(id);
      if (remembered !== undefined) return this.#write(id, remembered, change, writing);
      return andThen(this.#latest(id), (latest = new PartedConversation(id)) =>
        this.#outage.isDegraded
          ? changeHere()
          : this.#write(id, latest, change, { ...writing, isLatest: true }),
      );
    });
  }

  count(): Awaitable<number> {
    return andThen(
      this.#outage.ask(() => this.#parts.count()),
      (count) => (count === FAILED ? NaN : count),
    );
  }

  health(): StoreHealth {
    return {
      isDegraded: this.#outage.isDegraded,
      turnsWaiting: this.#waiting.turns,
      failures: this.#outage.failures,
      conflicts: this.#conflicts,
    };
  }

  /** Writes what is waiting, if the store answers. Takes a bounded time. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#outage.close();
    await this.#order.idle();
    if (this.#waiting.size > 0) await within(CLOSING_MS, this.#writeBack()).catch(() => undefined);
    if (this.#waiting.turns > 0)
      this.#log.error('history lost: the store did not answer', { turns: this.#waiting.turns });
    await this.channel?.close();
    await this.#parts.close();
  }

  /** As it is stored or, if the store does not answer, as it is remembered. */
  #latest(id: string): Awaitable<PartedConversation | undefined> {
    const remembered = this.#waiting.get(id) ?? this.#remembered.get(id);
    if (this.#outage.isDegraded || this.#waiting.has(id)) return remembered;
    return andThen(
      this.#outage.ask(() => this.#parts.read(id, remembered?.version)),
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
    kept.lossesSeen = this.#outage.losses;
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
    onceCalls: OnceCalls | undefined,
  ): PartedConversation {
    if (found !== undefined) {
      const latest = this.#join(id, found);
      if (kept.isCleared) clearTurns(latest.conversation);
      latest.takeOnceCallsOf(kept, onceCalls);
      const lost = turnsLostBy(latest.conversation, remembered, kept.touched);
      mergeTurns(latest.conversation, lost);
      return latest;
    }
    const anew = new PartedConversation(id);
    if (kept.lossesSeen === this.#outage.losses) return anew;
    mergeTurns(anew.conversation, remembered);
    anew.takeHeadOf(kept);
    anew.takeOnceCallsOf(kept, onceCalls);
    return anew;
  }

  #write<T>(
    id: string,
    kept: PartedConversation,
    change: (conversation: Conversation) => T,
    writing: Writing,
  ): Awaitable<T> {
    const { mustBeStored, isLatest, conflicts } = writing;
    const { turns } = kept.conversation;
    const newest = turns.at(-1);
    const onceCalls = { ...kept.conversation.onceCalls };
    const result = kept.apply(change);
    const again = (found: StoredConversation | undefined): Awaitable<T> => {
      if (conflicts === MAX_CONFLICTS) {
        this.#remembered.delete(id); // it has the change, which was not stored
        throw new StoreError(`other processes changed the conversation ${MAX_CONFLICTS} times`);
      }
      this.#conflicts += 1;
      // Without what this attempt has added.
      const remembered = newest === undefined ? [] : turns.slice(0, turns.indexOf(newest) + 1);
      const latest = this.#merged(id, found, kept, remembered, onceCalls);
      return this.#write(id, latest, change, {
        mustBeStored, isLatest: true, conflicts: conflicts + 1,
      });
    };
    const parts = kept.change(this.#ttlOf(kept));
    if (parts === undefined) {
      if (isLatest) return result;
      return andThen(
        this.#outage.ask(() => this.#parts.read(id, kept.version)),
        (found) => {
          if (found === FAILED && mustBeStored) return notStored();
          return found === FAILED || found === 'unchanged' ? result : again(found);
        },
      );
    }
    return andThen(
      this.#outage.ask(() => this.#parts.write(id, parts)),
      (answer) => {
        if (answer === FAILED) {
          this.#wait(id, kept);
          return mustBeStored ? notStored() : result;
        }
        if (answer !== true) return again(answer);
        this.#written(id, kept, parts);
        return result;
      },
    );
  }

  #written(id: string, kept: PartedConversation, parts: PartsChange): void {
    kept.written(parts);
    kept.lossesSeen = this.#outage.losses;
    if (kept.isEmpty) this.#remembered.delete(id);
    else {
      this.#remembered.set(id, kept);
      this.#outage.written(id, parts.to);
    }
  }

  #ttlOf({ conversation }: PartedConversation): number {
    return this.#ttlMs + (hasOpenTurn(conversation) ? OPEN_TURN_MS : 0);
  }

  async #writeBack(): Promise<void> {
    for (const id of this.#waiting.ids()) {
      await this.#order.run(id, () => this.#writeBackOne(id));
      if (this.#outage.isDegraded && this.#closed === undefined) return;
    }
  }

  #writeBackOne(id: string, conflicts = 0): Awaitable<void> {
    const kept = this.#waiting.get(id);
    if (kept === undefined) return;
    const parts = kept.change(this.#ttlOf(kept));
    if (parts === undefined) return this.#waiting.delete(id);
    return andThen(
      this.#outage.ask(() => this.#parts.write(id, parts)),
      (answer) => {
        // To the end of the queue: perhaps only this one cannot be written.
        if (answer === FAILED) return this.#wait(id, kept);
        if (answer === true) {
          this.#written(id, kept, parts);
          return this.#waiting.delete(id);
        }
        const { turns, onceCalls } = kept.conversation;
        const merged = this.#merged(id, answer, kept, turns, onceCalls);
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
      this.#waiting.get(id) ?? this.#remembered.get(id) ?? new PartedConversation(id);
    kept.conversation.isBehind = true;
    let result: T;
    try {
      result = kept.apply(change);
    } finally {
      delete kept.conversation.isBehind;
    }
    if (kept.hasChanged) this.#wait(id, kept);
    return result;
  }

  #wait(id: string, kept: PartedConversation): void {
    this.#waiting.set(id, kept);
    this.#remembered.set(id, kept);
  }
}

function notStored(): Promise<never> {
  return Promise.reject(new StoreError('the store has not confirmed the change'));
}
