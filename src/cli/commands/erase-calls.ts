// `calls erase`: what is erased of an id or of a caller, and what cannot be reached.

import { StoreError } from '../../conversations/stores/store-error.ts';
import { createLogger } from '../../log.ts';
import type { CallArchive } from '../../records/call-archive.ts';
import type { CallRecord } from '../../records/call-record.ts';
import type { Settings } from '../../settings/settings.ts';
import { CommandError, type Terminal } from '../terminal/command.ts';
import { interruptedError, write } from '../terminal/output.ts';
import { printable } from '../terminal/printable.ts';

/** Where calls are erased. */
export interface ErasingPlace {
  readonly archive: Pick<CallArchive, 'erase'>;
  readonly settings: Settings;
  readonly terminal: Terminal;
}

function nothingOf(id: string): string {
  return `nothing is known here about ${JSON.stringify(printable(id, ' ').slice(0, 256))}`;
}

/** A conversation may be under way, or its end not reported. */
export function noRecordOf(id: string): string {
  return `${nothingOf(id)}; a record is made when the call is over`;
}

/** What has been erased, and why that is not all. */
class Erasure {
  #count = 0;
  readonly #failures = new Set<string>();
  readonly #place: ErasingPlace;

  constructor(place: ErasingPlace) {
    this.#place = place;
  }

  async erased(what: string): Promise<void> {
    this.#count += 1;
    await write(this.#place.terminal.stdout, `erased ${what}\n`);
    this.#stopIfInterrupted();
  }

  /** A store may fail for a part of what it holds. The rest is erased nevertheless. */
  async attempt(step: () => Promise<void>): Promise<void> {
    this.#stopIfInterrupted();
    try {
      await step();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#failures.add(error.message);
    }
  }

  /** Says what is not erased. Throws if any of it should have been in reach. */
  async end(id: string, number?: string): Promise<void> {
    const failures = [...this.#failures];
    const { settings, terminal } = this.#place;
    await write(terminal.stdout, notReached(settings, failures, number));
    if (failures.length > 0)
      throw new CommandError('not everything is erased: run this again when the store works');
    if (this.#count === 0) throw new CommandError(nothingOf(id));
  }

  #stopIfInterrupted(): void {
    const { interrupted } = this.#place.terminal;
    if (interrupted.aborted) throw interruptedError(interrupted);
  }
}

/** Erases the records of a conversation or a session, and the conversation, at every agent. */
export async function eraseId(id: string, place: ErasingPlace): Promise<void> {
  const erasure = new Erasure(place);
  const conversationIds = new Set([id]);
  await erasure.attempt(async () => {
    for await (const record of place.archive.erase(id)) {
      conversationIds.add(record.conversationId);
      await erasure.erased(nameOf(record));
    }
  });
  const agents = place.settings.agents.map(({ name }) => `${name}/`);
  const keys = [...conversationIds].flatMap((one) => [one, ...agents.map((agent) => agent + one)]);
  await eraseConversations(keys, undefined, place, erasure);
  await erasure.end(id);
}

/**
 * Erases the records of all calls from a number, and all conversations that belong to them or whose
 * last call came from it.
 */
export async function eraseCaller(number: string, place: ErasingPlace): Promise<void> {
  const { archive, settings } = place;
  const erasure = new Erasure(place);
  const keys = new Set<string>();
  await erasure.attempt(async () => {
    for await (const record of archive.erase(number, ({ from }) => from === number)) {
      const { agent, conversationId } = record;
      const isOneOfSeveral = settings.agents.some(({ name }) => name === agent);
      keys.add(isOneOfSeveral ? `${agent}/${conversationId}` : conversationId);
      await erasure.erased(nameOf(record));
    }
  });
  await eraseConversations(keys, number, place, erasure);
  await erasure.end(number, number);
}

function nameOf({ sessionId }: CallRecord): string {
  return `the record of session ${printable(sessionId, ' ')}`;
}

/** Erases conversations by their keys, and those of a caller if a number is given. */
async function eraseConversations(
  keys: Iterable<string>,
  number: string | undefined,
  { settings, terminal: { directory } }: ErasingPlace,
  erasure: Erasure,
): Promise<void> {
  if (settings.conversationStore === 'memory') return;
  const [{ openAllParts }, { eraseStored }, { conversationsOfCaller }] = await Promise.all([
    import('../../conversations/stores/open-store.ts'),
    import('../../conversations/stores/erase-stored.ts'),
    import('../../conversations/stores/conversations-of-caller.ts'),
  ]);
  const log = createLogger({ level: 'silent', write: () => undefined });
  const parts = await openAllParts(settings, { log, directory });
  const ttlMs = settings.conversationTtlSeconds * 1_000;
  const erase = (key: string): Promise<void> =>
    erasure.attempt(async () => {
      if (await eraseStored(parts, key, ttlMs))
        await erasure.erased(`the conversation ${printable(key, ' ')}`);
    });
  try {
    for (const key of keys) await erase(key);
    if (number === undefined) return;
    await erasure.attempt(async () => {
      for await (const key of conversationsOfCaller(parts, number)) await erase(key);
    });
  } finally {
    await parts.close();
  }
}

function notReached(
  { callRecords, conversationStore, conversationTtlSeconds }: Settings,
  failures: readonly string[],
  number?: string,
): string {
  const copies = callRecords === 'store' ? 'of the store' : 'of the files';
  const memory =
    conversationStore === 'memory'
      ? 'conversations in the memory of a server, which forgets them '
        + `${conversationTtlSeconds} s after their last turn`
      : 'a call in progress: what is said from now on is kept';
  const withoutNumber = 'calls that do not name the number: from a browser, or with it withheld';
  return [
    'not reached:',
    ...failures.map((failure) => `  ${failure}`),
    '  log lines, which contain ids and times but no words',
    `  backups and copies ${copies}, and traces of erased data on disk`,
    '  what calls export has printed, and traces that a collector keeps',
    `  ${memory}`,
    ...(number === undefined ? [] : [`  ${withoutNumber}`]),
    "  LayerCode's own records: transcripts, recordings, the call's entry in the dashboard",
    '  data sent to models, tools and other services',
  ].join('\n') + '\n';
}
