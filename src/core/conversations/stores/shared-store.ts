import { andThen, type Awaitable } from '../../../base/awaitable.ts';
import type { Channel } from '../../../base/channel.ts';
import type { Logger } from '../../../base/log.ts';
import { within } from '../../../base/time-limit.ts';
import type { Conversation } from '../conversation.ts';
import { restoreOnce } from '../once-rules.ts';
import {
  UnsafeClaim, type ConversationStore, type StoreAside, type StoreHealth, type UpdateOptions,
} from '../store.ts';
import { Heartbeats } from './heartbeats.ts';
import { KeptAside } from './kept-aside.ts';
import { FAILED, Outage } from './outage.ts';
import { OwnClaims } from './own-claims.ts';
import type { PartsChange, PartStore, StoredConversation, WriteAnswer } from './part-store.ts';
import { PartedConversation, type Memory } from './parted-conversation.ts';
import { Remembered } from './remembered.ts';
import { SerialByKey } from './serial-by-key.ts';
import { StoreError } from './store-error.ts';
import { MAX_TURNS_WAITING, WaitingChanges } from './waiting-changes.ts';

interface SharedStoreOptions {
  /** A conversation without a change for this long is dropped. */
  readonly ttlMs: number;
  /** How many conversations are remembered, so that turns need not read them again. */
  readonly maxRemembered: number;
  /** Their total length in UTF-16 code units. Default 67,108,864. */
  readonly maxCharacters?: number;
  /** A command that takes longer counts as failed. */
  readonly timeoutMs: number;
  readonly log: Logger;
  /** The channel to the other processes that use the store. Default: no messages are exchanged. */
  readonly channel?: Channel | undefined;
  /** Bounds on what is kept for a store that does not answer. Default 10,000 and 67,108,864. */
  readonly maxTurnsWaiting?: number;
  readonly maxCharactersWaiting?: number;
}

/** How often a change is repeated if others keep writing. After that it waits. */
const MAX_CONFLICTS = 20;
/** How long closing may take to write what is waiting. */
const CLOSING_MS = 2_000;

const MAX_CHARACTERS = 67_108_864;

/** Pauses between attempts to write what is still waiting although the store works. */
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 60_000;
/** How many refused conversations are remembered, so that each is logged only once. */
const MAX_REFUSED = 1_000;

/**
 * The store's answer to a write: true if it has the change, otherwise what it has instead.
 * Undefined if it has lost the conversation. `UnsafeClaim`: it has the change, but may lose it.
 */
type Answer = WriteAnswer | UnsafeClaim | typeof FAILED;

interface Attempt<T> {
  readonly change: (conversation: Conversation) => T;
  readonly mustBeStored: boolean;
  readonly isClaim: boolean;
  readonly onSent: (() => void) | undefined;
  readonly isPatient: boolean;
  /** Whether the conversation has just been read. */
  readonly isLatest: boolean;
  readonly conflicts: number;
}

/**
 * Conversations in a store of parts that other processes may share.
 *
 * A change costs one round trip, because this process remembers what it saw last. The parts that
 * the change touched are written if the stored version is still that one. If not, the answer
 * contains the stored conversation, and the change is repeated on that.
 *
 * A store that fails or answers late does not hold up callers. Changes are then made to what is
 * remembered. When the store answers again, the turns they touched are merged into the stored
 * conversation one by one, and so are the changes to the agent's state. If it fails for one
 * conversation alone, only that one waits.
 *
 * What the store has lost meanwhile, or at any other time, is put back from memory as soon as this
 * process notices. What was erased is not: an erasure leaves a mark.
 */
export class SharedStore implements ConversationStore {
  readonly isShared = true;
  readonly channel: Channel | undefined;
  readonly aside: StoreAside;
  readonly #parts: PartStore;
  readonly #ttlMs: number;
  readonly #log: Logger;
  readonly #outage: Outage;
  readonly #remembered: Remembered;
  readonly #waiting: WaitingChanges;
  readonly #order = new SerialByKey();
  readonly #own = new Set<string>();
  readonly #heartbeats: Heartbeats;
  readonly #claims: OwnClaims;
  readonly #refused = new Set<string>();
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #conflicts = 0;
  #collisions = 0;
  #closed: Promise<void> | undefined;

  constructor(parts: PartStore, options: SharedStoreOptions) {
    const { ttlMs, timeoutMs, log, maxCharacters = MAX_CHARACTERS } = options;
    const { maxTurnsWaiting = MAX_TURNS_WAITING, maxCharactersWaiting = MAX_CHARACTERS } = options;
    this.#parts = parts;
    this.channel = options.channel;
    this.#ttlMs = ttlMs;
    this.#log = log;
    this.#outage = new Outage(parts, { timeoutMs, log, recovered: () => this.#recover() });
    this.aside = new KeptAside(parts, this.#outage);
    this.#claims = new OwnClaims(parts, this.#outage, (id, calls) =>
      this.update(id, (conversation) => restoreOnce(conversation, calls), { mustBeStored: true }));
    this.#heartbeats = new Heartbeats(parts, this.#outage, () => void this.#claims.check());
    this.#waiting = new WaitingChanges(
      { maxTurns: maxTurnsWaiting, maxCharacters: maxCharactersWaiting, ttlMs }, log,
    );
    this.#remembered = new Remembered({
      maxConversations: options.maxRemembered, maxCharacters, ttlMs,
    });
  }

  runsAt(address: string): void {
    this.#own.add(address);
    this.#heartbeats.begin(address);
  }

  mayLive(address: string): Awaitable<boolean> {
    return this.#outage.isDegraded || this.#heartbeats.mayLive(address);
  }

  read(id: string): Awaitable<Conversation | undefined> {
    return this.#order.run(id, () =>
      andThen(this.#latest(id), (kept) =>
        kept === undefined || kept.isEmpty ? undefined : kept.snapshot(),
      ),
    );
  }

  remembered(id: string): Conversation | undefined {
    return this.#known(id)?.conversation;
  }

  unstored(id: string): Conversation | undefined {
    return this.#waiting.get(id)?.conversation;
  }

  whenStored(id: string, listener: () => void): void {
    this.#waiting.whenStored(id, listener);
  }

  update<T>(
    id: string,
    change: (conversation: Conversation) => T,
    {
      mustBeStored = false, isClaim = false, onSent, isPatient = mustBeStored, needsLatest,
    }: UpdateOptions = {},
  ): Awaitable<T> {
    this.#heartbeats.noteUse();
    const changeHere = (): Awaitable<T> =>
      mustBeStored ? notStored() : this.#changeHere(id, change);
    const changeThere = (): Awaitable<T> => {
      if (this.#isAway(id)) return changeHere();
      const how = { mustBeStored, isClaim, onSent, isPatient };
      const attempt = { change, ...how, isLatest: false, conflicts: 0 };
      const remembered = this.#remembered.get(id);
      if (remembered !== undefined && needsLatest?.(remembered.conversation) !== true)
        return this.#try(id, remembered, attempt);
      const { failures } = this.#outage;
      return andThen(this.#latest(id), (latest = new PartedConversation(id)) => {
        const mayBeBehind = needsLatest !== undefined && this.#outage.failures > failures;
        if (this.#isAway(id) || mayBeBehind) return changeHere();
        return this.#try(id, latest, { ...attempt, isLatest: true });
      });
    };
    return this.#order.run(id, () => {
      const mayWriteBack = isPatient && this.#waiting.has(id) && !this.#outage.isDegraded;
      return mayWriteBack ? andThen(this.#writeBackOne(id, true), changeThere) : changeThere();
    });
  }

  count(): Awaitable<number> {
    if (this.#outage.isDegraded) return NaN;
    const counted = this.#outage.askAside(() => this.#parts.count());
    return andThen(counted, (count) => (count === FAILED ? NaN : count));
  }

  health(): StoreHealth {
    return {
      isDegraded: this.#outage.isDegraded,
      turnsWaiting: this.#waiting.turns,
      failures: this.#outage.failures,
      conflicts: this.#conflicts,
      stateCollisions: this.#collisions,
    };
  }

  /** Writes what is waiting, if the store answers. Takes a bounded time. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#outage.close();
    clearTimeout(this.#retry);
    await this.#order.idle();
    if (this.#waiting.size > 0) await within(CLOSING_MS, this.#writeBack()).catch(() => undefined);
    if (this.#waiting.turns > 0)
      this.#log.error('history lost: the store did not answer', { turns: this.#waiting.turns });
    await this.#heartbeats.close();
    await this.channel?.close();
    await this.#parts.close();
  }

  /** Whether the store should not be asked about the conversation now. */
  #isAway(id: string): boolean {
    return this.#waiting.has(id) || this.#outage.isDegraded;
  }

  #known(id: string): PartedConversation | undefined {
    return this.#waiting.get(id) ?? this.#remembered.get(id);
  }

  /** The conversation as stored or, if the store does not answer, as remembered. */
  #latest(id: string): Awaitable<PartedConversation | undefined> {
    const known = this.#known(id);
    if (this.#isAway(id)) return known;
    return andThen(
      // Without an answer, a conversation that is not known here would begin again.
      this.#ask(id, () => this.#parts.read(id, known?.version), known === undefined),
      (found) => {
        if (found === FAILED || found === 'unchanged') return known;
        if (known === undefined) return found === undefined ? undefined : this.#load(id, found);
        const latest = this.#merged(id, found, known, known.memory());
        if (!latest.hasChanged) return latest;
        latest.noteTime();
        this.#wait(id, latest);
        return andThen(this.#writeBackOne(id), () => this.#known(id));
      },
    );
  }

  #load(id: string, stored: StoredConversation, known?: PartedConversation): PartedConversation {
    const kept = new PartedConversation(id, stored, known);
    if (kept.unreadable.length > 0)
      this.#log.error('parts of a stored conversation cannot be read and were left out', {
        conversationId: id,
        parts: kept.unreadable,
      });
    this.#remembered.set(id, kept);
    return kept;
  }

  /** What the store has, together with what it has lost. */
  #merged(
    id: string,
    found: StoredConversation | undefined,
    kept: PartedConversation,
    memory: Memory,
  ): PartedConversation {
    if (found === undefined) {
      kept.putBack();
      return kept;
    }
    const latest = this.#load(id, found, kept);
    latest.bringBack(kept, memory, this.#own);
    return latest;
  }

  /** Makes a change and writes it. Makes it again if another process was faster. */
  #try<T>(id: string, kept: PartedConversation, attempt: Attempt<T>): Awaitable<T> {
    const memory = kept.memory();
    const result = kept.apply(attempt.change);
    const answered = (answer: Answer, conflicts: number): Awaitable<T> => {
      if (answer === true) return result;
      if (answer instanceof UnsafeClaim) throw answer;
      if (answer === FAILED) return attempt.mustBeStored ? notStored() : result;
      if (conflicts === MAX_CONFLICTS) {
        this.#wait(id, kept);
        this.#retrySoon();
        return attempt.mustBeStored ? notStored() : result;
      }
      this.#conflicts += 1;
      if (answer !== undefined) {
        const latest = this.#merged(id, answer, kept, memory);
        return this.#try(id, latest, { ...attempt, isLatest: true, conflicts: conflicts + 1 });
      }
      kept.putBack(); // with the change, which was made on the latest version anyone has
      const again = { ...attempt, isLatest: true };
      return andThen(this.#write(id, kept, again), (next) => answered(next, conflicts + 1));
    };
    return andThen(this.#write(id, kept, attempt), (answer) =>
      answered(answer, attempt.conflicts));
  }

  /** Writes what has changed. If nothing has, asks whether the version is the latest. */
  #write(
    id: string,
    kept: PartedConversation,
    { isLatest, isPatient, isClaim, onSent }: Omit<Attempt<unknown>, 'change'>,
  ): Awaitable<Answer> {
    const parts = kept.change(kept.lifetimeMs(this.#ttlMs));
    if (parts === undefined) {
      if (isLatest) return true;
      return andThen(
        this.#ask(id, () => this.#parts.read(id, kept.version), isPatient),
        (found) => (found === 'unchanged' ? true : found),
      );
    }
    const write = (): Awaitable<Answer> =>
      isClaim ? this.#claims.write(id, parts, onSent) : this.#parts.write(id, parts);
    return andThen(
      this.#ask(id, write, isPatient, isClaim ? this.#parts.claimsWaitMs : 0),
      (answer) => {
        if (answer === true || answer instanceof UnsafeClaim) this.#written(id, kept, parts);
        else if (answer === FAILED) {
          kept.failed(parts);
          this.#wait(id, kept);
          this.#retrySoon();
        }
        return answer;
      },
    );
  }

  #written(id: string, kept: PartedConversation, parts: PartsChange): void {
    kept.written(parts);
    this.#claims.note(id, kept.conversation, this.#own, parts.ttlMs);
    this.#noteMerged(id, kept.conversation);
    if (kept.isKept) this.#remembered.set(id, kept);
    else this.#remembered.delete(id);
  }

  /** Logs only names that an agent's author chose: callers may have said those below them. */
  #noteMerged(conversationId: string, conversation: Conversation): void {
    const { merged } = conversation;
    if (merged === undefined) return;
    delete conversation.merged;
    const shown = (paths: readonly string[]): readonly string[] =>
      [...new Set(paths.map((path) => path.replace(/^(\/[^/]*)\/.*$/s, '$1/…')))];
    const { collisions, misses } = merged;
    this.#collisions += collisions.length;
    if (collisions.length > 0)
      this.#log.warn('two runs changed the state', { conversationId, at: shown(collisions) });
    if (misses.length > 0)
      this.#log.warn('a change of the state found nothing to change', {
        conversationId, at: shown(misses),
      });
  }

  #ask<T>(
    id: string,
    command: () => Awaitable<T>,
    isPatient = false,
    waitsMs = 0,
  ): Awaitable<T | typeof FAILED> {
    const refused = (error: unknown): void => this.#noteRefused(id, error);
    const answered = (): void => this.#writeBackNow(id);
    return andThen(
      this.#outage.ask(command, { refused, answered, isPatient, waitsMs }),
      (answer) => {
        if (answer !== FAILED && this.#refused.delete(id))
          this.#log.info('the store works again for that conversation', this.#named(id));
        return answer;
      },
    );
  }

  #noteRefused(id: string, error: unknown): void {
    if (this.#refused.has(id)) return;
    if (this.#refused.size === MAX_REFUSED) this.#refused.clear();
    this.#refused.add(id);
    const message = 'the store fails for one conversation, which continues from memory';
    this.#log.error(message, { ...this.#named(id), error });
  }

  #named(conversationId: string): { readonly store: string; readonly conversationId: string } {
    return { store: this.#parts.name, conversationId };
  }

  /** Others hear that this process is alive before they read what it has done meanwhile. */
  async #recover(): Promise<void> {
    await this.#heartbeats.again();
    await this.#writeBack();
  }

  async #writeBack(): Promise<void> {
    for (const id of this.#waiting.ids()) {
      await this.#order.run(id, () => this.#writeBackOne(id));
      if (this.#outage.isDegraded && this.#closed === undefined) break;
    }
    this.#retryLater();
  }

  /** A write was answered late. What it did not bring follows at once. */
  #writeBackNow(id: string): void {
    if (this.#outage.isDegraded || !this.#waiting.has(id)) return;
    void this.#order.run(id, () => this.#writeBackOne(id));
  }

  #writeBackOne(id: string, isPatient = false, conflicts = 0): Awaitable<void> {
    const kept = this.#waiting.get(id);
    if (kept === undefined) return;
    const parts = kept.change(kept.lifetimeMs(this.#ttlMs));
    if (parts === undefined) return this.#waiting.stored(id);
    return andThen(
      this.#ask(id, () => this.#parts.write(id, parts), isPatient),
      (answer) => {
        if (answer === FAILED) {
          kept.failed(parts);
          return this.#wait(id, kept); // to the end of the queue
        }
        if (answer === true) {
          this.#written(id, kept, parts);
          return this.#waiting.stored(id);
        }
        kept.forgetDoubtful(this.#ttlMs);
        const latest = this.#merged(id, answer, kept, kept.memory());
        if (latest !== kept) latest.takeWaiting(kept, this.#own);
        latest.noteTime();
        this.#wait(id, latest);
        if (conflicts < MAX_CONFLICTS) return this.#writeBackOne(id, isPatient, conflicts + 1);
      },
    );
  }

  /** For conversations that are still waiting although the store works. */
  #retryLater(): void {
    if (this.#closed !== undefined) return;
    if (this.#waiting.size === 0) this.#retryMs = FIRST_RETRY_MS;
    else
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined;
        this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
        if (this.#outage.isDegraded) this.#retryLater();
        else void this.#writeBack();
      }, this.#retryMs).unref();
  }

  /** The same with the shortest pause, because one more is waiting. */
  #retrySoon(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#retryMs = FIRST_RETRY_MS;
    this.#retryLater();
  }

  /** Makes a change without the store: to what is remembered, or to a new conversation. */
  #changeHere<T>(id: string, change: (conversation: Conversation) => T): T {
    const kept = this.#known(id) ?? new PartedConversation(id);
    kept.conversation.isBehind = true;
    let result: T;
    try {
      result = kept.apply(change);
    } finally {
      delete kept.conversation.isBehind;
    }
    if (kept.hasChanged) {
      kept.noteTime();
      this.#wait(id, kept);
    }
    return result;
  }

  #wait(id: string, kept: PartedConversation): void {
    this.#waiting.set(id, kept);
    this.#remembered.set(id, kept);
    this.#retryLater();
  }
}

function notStored(): Promise<never> {
  return Promise.reject(new StoreError('the store has not confirmed the change'));
}
