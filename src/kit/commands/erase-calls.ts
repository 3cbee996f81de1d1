// `calls erase`: what is erased for an id or a caller, and what cannot be reached.

import { noLog } from '../../base/log.ts';
import type { Conversation } from '../../core/conversations/conversation.ts';
import type { ErasedOutcome } from '../../core/conversations/stores/erase-stored.ts';
import type { PartStore } from '../../core/conversations/stores/part-store.ts';
import { StoreError } from '../../core/conversations/stores/store-error.ts';
import { isOf, type CallArchive } from '../../server/records/call-archive.ts';
import type { CallRecord } from '../../server/records/call-record.ts';
import { idleSecondsOf } from '../../server/records/idle-calls.ts';
import { isSameNumber, isSurelySameNumber } from '../../server/records/phone-number.ts';
import { faultOfAgentName } from '../../server/settings/named-agents.ts';
import type { Settings } from '../../server/settings/settings.ts';
import { CommandError, type Terminal } from '../terminal/command.ts';
import { interruptedError, write } from '../terminal/output.ts';
import { printable } from '../terminal/text.ts';

/** The records, and the settings and the terminal of the command that uses them. */
export interface CallAccess {
  readonly archive: Pick<CallArchive, 'all' | 'erase' | 'overwrite'>;
  readonly settings: Settings;
  readonly terminal: Terminal;
}

function nothingOf(id: string): string {
  return `nothing is known here about ${JSON.stringify(printable(id, ' ').slice(0, 256))}`;
}

/** The conversation may still be under way, or its end may not have been reported. */
export function noRecordOf(id: string, settings: Settings): string {
  return `${nothingOf(id)}; ${whenRecorded(settings)}`;
}

/** Why a call may have no record yet. The server may have other settings than the command. */
export function whenRecorded(settings: Settings): string {
  const late = "; otherwise after the server's CALL_RECORDS_IDLE_SECONDS without a turn, or when its "
    + 'process ends';
  const isEver = idleSecondsOf(settings) > 0;
  return `a record is made when the end of a call is reported${isEver ? late : ''}`;
}

/** The log of an SQLite file could not be emptied. */
const HELD =
  'Another process is using the SQLite file, so what was erased has not been overwritten yet. A '
  + 'server does that within a minute after that process has finished; if none runs, the next one '
  + 'does.\n';

const NOT_FOUND = 'not everything was erased: check that CONVERSATION_STORE is that of the server, '
  + 'then run this again';

/** What has been erased, and why that is not everything. */
class Erasure {
  count = 0;
  /**
   * Whether SQLite has not overwritten the data yet, or no Redis replica has confirmed the erasure.
   */
  isHeld = false;
  isInWriteLog = false;
  readonly failures = new Set<string>();
  /** Calls whose conversations should be in the store, and are not there. */
  readonly missing = new Map<string, CallRecord>();
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  async erased(what: string): Promise<void> {
    this.count += 1;
    await write(this.#terminal.stdout, `erased ${what}\n`);
    this.stopIfInterrupted();
  }

  /** A store may fail for part of what it holds. The rest is erased nevertheless. */
  async attempt(step: () => Promise<void>): Promise<void> {
    this.stopIfInterrupted();
    try {
      await step();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.failures.add(error.message);
    }
  }

  /** Call this once everything that can be erased from the store has been. */
  async overwrite(store: Pick<PartStore, 'overwrite' | 'keepsWriteLog'>): Promise<void> {
    await this.attempt(async () => {
      if ((await store.overwrite?.()) === false) this.isHeld = true;
    });
    await this.attempt(async () => {
      if ((await store.keepsWriteLog?.()) === true) this.isInWriteLog = true;
    });
  }

  stopIfInterrupted(): void {
    const { interrupted } = this.#terminal;
    if (interrupted.aborted) throw interruptedError(interrupted);
  }
}

/** A caller's number, and the numbers found that may be the same in another spelling. */
class Caller {
  readonly number: string;
  readonly similar = new Set<string>();

  constructor(number: string) {
    this.number = number;
  }

  readonly is = (from: string | undefined): boolean => {
    if (isSurelySameNumber(this.number, from)) return true;
    if (from !== undefined && isSameNumber(this.number, from)) this.similar.add(from);
    return false;
  };
}

/** Erases the records of a conversation or a session, and the conversation, for every agent. */
export async function eraseId(id: string, access: CallAccess): Promise<void> {
  await erase(access, {
    text: id,
    ids: [id],
    isMeant: (record) => isOf(record, id),
    isTheirs: () => true,
  });
}

/**
 * Erases the records of all calls from a number, and all conversations that belong to them or whose
 * last call came from it.
 */
export async function eraseCaller(number: string, access: CallAccess): Promise<void> {
  const caller = new Caller(number);
  await erase(access, {
    text: number,
    caller,
    ids: [],
    isMeant: ({ from }) => caller.is(from),
    isTheirs: ({ caller: known }, isNamed) =>
      known?.from === undefined ? isNamed : caller.is(known.from),
  });
}

interface Erased {
  /** Fragments of records in which this text is a value are erased too. */
  readonly text: string;
  /** Fragments with the number, and conversations that no record names, are erased too. */
  readonly caller?: Caller;
  /** Ids of conversations that may have no record. */
  readonly ids: readonly string[];
  readonly isMeant: (record: CallRecord) => boolean;
  /** Whether to erase a stored conversation. `isNamed`: whether its id was given or recorded. */
  readonly isTheirs: (conversation: Conversation, isNamed: boolean) => boolean;
}

/** The key of the conversation if the agent is one of several. */
function ownKeyOf({ agent, conversationId }: CallRecord): string {
  return `${agent}/${conversationId}`;
}

/** The keys that the conversation may have in a store. */
function keysOf(record: CallRecord): readonly string[] {
  return [record.conversationId, ownKeyOf(record)];
}

/** The conversation's id, if the key is that of one of several agents. Otherwise the key. */
function withoutAgent(key: string): string {
  const slash = key.indexOf('/');
  const isOfAgent = slash !== -1 && faultOfAgentName(key.slice(0, slash)) === undefined;
  return isOfAgent ? key.slice(slash + 1) : key;
}

/**
 * Erases conversations first. A record whose conversation could not be erased, or should be in the
 * store and is not, is kept: the next run may find the conversation only through the record. Then
 * says what is not erased, and throws if any of that should have been within reach.
 */
async function erase(access: CallAccess, erased: Erased): Promise<void> {
  const { archive, settings, terminal } = access;
  const { text, caller, isMeant } = erased;
  const erasure = new Erasure(terminal);
  const records: CallRecord[] = [];
  await erasure.attempt(async () => {
    for await (const record of archive.all()) {
      erasure.stopIfInterrupted();
      if (isMeant(record)) records.push({ ...record, turns: [] });
    }
  });
  const isInMemory = settings.conversationStore === 'memory';
  const gone = isInMemory
    ? undefined : await eraseConversations(records, erased, access, erasure);
  const expiryOf = ({ endedAt }: CallRecord): number =>
    Date.parse(endedAt) + settings.conversationTtlSeconds * 1_000;
  for (const record of records) {
    const isFound = keysOf(record).some((key) => gone?.get(key) !== 'not stored');
    if (expiryOf(record) > Date.now() && (isInMemory || !isFound))
      erasure.missing.set(ownKeyOf(record), record);
  }
  const left = new Set(isInMemory ? [] : erasure.missing.keys());
  const failed = new Set(
    [...(gone ?? [])].flatMap(([key, outcome]) => (outcome === 'failed' ? withoutAgent(key) : [])),
  );
  const isErasable = (record: CallRecord): boolean =>
    isMeant(record) && !failed.has(record.conversationId) && !left.has(ownKeyOf(record));
  await erasure.attempt(async () => {
    for await (const { sessionId } of archive.erase(text, isErasable, caller?.is))
      await erasure.erased(`the record of session ${printable(sessionId, ' ')}`);
  });
  await erasure.overwrite(archive);
  await write(terminal.stdout, notReached(settings, erasure, caller));
  if (erasure.isHeld && !isRedis(settings)) await write(terminal.stderr, HELD);
  if (erasure.failures.size > 0)
    throw new CommandError('not everything was erased: run this again when the store works');
  if (erasure.missing.size > 0) throw new CommandError(NOT_FOUND);
  if (erasure.count === 0) throw new CommandError(nothingOf(text));
}

/** Erases the conversations that records name, those with the given ids, and the caller's. */
async function eraseConversations(
  records: readonly CallRecord[],
  { ids: given, caller, isTheirs }: Erased,
  { settings, terminal: { directory } }: CallAccess,
  erasure: Erasure,
): Promise<ReadonlyMap<string, ErasedOutcome | 'failed'>> {
  const [{ openParts }, { eraseStored, storedConversations }] = await Promise.all([
    import('../../core/conversations/stores/open-store.ts'),
    import('../../core/conversations/stores/erase-stored.ts'),
  ]);
  const parts = await openParts(settings, { log: noLog(), directory }, true);
  const ids = new Set(given);
  const keys = new Set(records.flatMap(keysOf));
  for (const id of given) {
    keys.add(id);
    for (const { name } of settings.agents) keys.add(`${name}/${id}`);
  }
  const isNamed = (key: string): boolean => keys.has(key) || ids.has(withoutAgent(key));
  for (const { conversationId } of caller === undefined ? records : []) ids.add(conversationId);
  const gone = new Map<string, ErasedOutcome | 'failed'>();
  let isSearched = false;
  try {
    await erasure.attempt(async () => {
      const isWanted = caller === undefined ? isNamed : undefined;
      for await (const conversation of storedConversations(parts, isWanted)) {
        const key = conversation.id;
        if (isTheirs(conversation, isNamed(key))) keys.add(key);
        else if (keys.delete(key)) gone.set(key, 'not stored'); // it is somebody else's
      }
      isSearched = true;
    });
    for (const key of keys) {
      gone.set(key, 'failed');
      await erasure.attempt(async () => {
        const outcome = await eraseStored(parts, key, settings.conversationTtlSeconds * 1_000);
        if (outcome === 'now') await erasure.erased(`the conversation ${printable(key, ' ')}`);
        gone.set(key, outcome);
      });
    }
    // The id may have words under the key of an agent that could not be read.
    if (!isSearched && caller === undefined)
      for (const { conversationId } of records) gone.set(conversationId, 'failed');
    await erasure.overwrite(parts);
    return gone;
  } finally {
    await parts.close();
  }
}

function isRedis({ conversationStore }: Settings): boolean {
  return conversationStore.startsWith('redis');
}

const UNCONFIRMED = '  servers that remember the conversation, should Redis lose its last '
  + 'minute of writes: no replica has confirmed the erasure';
const WRITE_LOG = "  Redis' append-only file, which may still hold words: redis-cli BGREWRITEAOF "
  + 'rewrites it, on each replica too';

function notReached(
  settings: Settings,
  { failures, missing, isHeld, isInWriteLog }: Erasure,
  caller?: Caller,
): string {
  const { callRecords, conversationStore, conversationTtlSeconds } = settings;
  const copies = callRecords === 'store' ? 'of the store' : 'of the files';
  const memory =
    conversationStore === 'memory'
      ? 'conversations in the memory of a server, which forgets them '
        + `${conversationTtlSeconds} s after their last turn`
      : 'a call in progress: what is said from now on is kept';
  const withoutNumber = 'calls that do not name the number: from a browser, or with it withheld';
  return [
    'not reached:',
    ...[...failures].map((failure) => `  ${printable(failure, ' ')}`),
    ...[...missing.values()].map(({ agent, conversationId }) =>
      `  ${printable(`the conversation ${conversationId} of the agent ${agent}`, ' ')}, `
      + (conversationStore === 'memory'
        ? "which is in a server's memory, or in a store that is not named here"
        : 'which is not in the store: it was lost or evicted, or is in another one')),
    '  log lines, which contain ids and times but no words',
    ...(isHeld && isRedis(settings) ? [UNCONFIRMED] : []),
    ...(isInWriteLog ? [WRITE_LOG] : []),
    `  backups and copies ${copies}, and traces of erased data on disk`,
    '  what "calls export" has printed, and traces that a collector keeps',
    `  ${memory}`,
    ...(caller === undefined ? [] : [`  ${withoutNumber}`]),
    ...[...(caller?.similar ?? [])].map((one) => `  calls from ${printable(one, ' ')}, `
      + 'which may be another number: to erase them, give it to --from as it is written here'),
    "  the platform's own records: transcripts, recordings, the call's entry in its dashboard",
    '  data sent to models, tools and other services',
  ].join('\n') + '\n';
}
