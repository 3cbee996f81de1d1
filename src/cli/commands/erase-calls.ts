// `calls erase`: what is erased of an id or of a caller, and what cannot be reached.

import { createLogger } from '../../log.ts';
import type { CallArchive } from '../../records/call-archive.ts';
import type { Settings } from '../../settings/settings.ts';
import { CommandError, type Terminal } from '../terminal/command.ts';
import { interruptedError, write } from '../terminal/output.ts';
import { printable } from '../terminal/printable.ts';

/** Where calls are erased. */
export interface ErasingPlace {
  readonly archive: CallArchive;
  readonly settings: Settings;
  readonly terminal: Terminal;
}

export function nothingOf(id: string): string {
  return `nothing is known here about ${JSON.stringify(printable(id, ' ').slice(0, 256))}`;
}

/** Erases the records of a conversation or a session, and the conversation. */
export async function eraseId(id: string, place: ErasingPlace): Promise<void> {
  const conversationIds = new Set([id]);
  const records = await eraseRecords(id, conversationIds, place);
  const conversations = await eraseConversations(conversationIds, undefined, place);
  await write(place.terminal.stdout, notReached(place.settings));
  if (records + conversations === 0) throw new CommandError(nothingOf(id));
}

/**
 * Erases the records of all calls from a number, and all conversations that belong to them or whose
 * last call came from it.
 */
export async function eraseCaller(number: string, place: ErasingPlace): Promise<void> {
  const { archive, settings, terminal: { stdout, interrupted } } = place;
  const sessions = new Set<string>();
  const conversationIds = new Set<string>();
  for await (const { from, conversationId, sessionId } of archive.all()) {
    if (interrupted.aborted) throw interruptedError(interrupted);
    if (from !== number) continue;
    sessions.add(sessionId);
    conversationIds.add(conversationId);
  }
  let records = 0;
  // Of a line that a full disk cut off, perhaps only the number can be read.
  for (const sessionId of [number, ...sessions])
    records += await eraseRecords(sessionId, new Set(), place);
  const conversations = await eraseConversations(conversationIds, number, place);
  await write(stdout, notReached(settings, number));
  if (records + conversations === 0) throw new CommandError(nothingOf(number));
}

/** Returns how many there were. Adds the ids of their conversations to the set. */
async function eraseRecords(
  id: string, conversationIds: Set<string>, { archive, terminal }: ErasingPlace,
): Promise<number> {
  let count = 0;
  for await (const { conversationId, sessionId } of archive.erase(id)) {
    count += 1;
    conversationIds.add(conversationId);
    await write(terminal.stdout, `erased the record of session ${printable(sessionId, ' ')}\n`);
  }
  return count;
}

/**
 * Erases conversations by their ids, and those of a caller if a number is given. Returns how many
 * existed.
 */
async function eraseConversations(
  ids: ReadonlySet<string>,
  number: string | undefined,
  { settings, terminal: { directory, stdout, interrupted } }: ErasingPlace,
): Promise<number> {
  if (settings.conversationStore === 'memory') return 0;
  const [{ openParts }, { eraseStored }, { conversationsOfCaller }] = await Promise.all([
    import('../../conversations/stores/open-store.ts'),
    import('../../conversations/stores/erase-stored.ts'),
    import('../../conversations/stores/conversations-of-caller.ts'),
  ]);
  const log = createLogger({ level: 'silent', write: () => undefined });
  const parts = await openParts(settings, { log, directory });
  const ttlMs = settings.conversationTtlSeconds * 1_000;
  let count = 0;
  const erase = async (key: string): Promise<void> => {
    if (interrupted.aborted) throw interruptedError(interrupted);
    if (!(await eraseStored(parts, key, ttlMs))) return;
    count += 1;
    await write(stdout, `erased the conversation ${printable(key, ' ')}\n`);
  };
  try {
    const names = settings.agents.map(({ name }) => `${name}/`);
    for (const id of ids)
      for (const key of [id, ...names.map((name) => name + id)]) await erase(key);
    if (number !== undefined)
      for await (const key of conversationsOfCaller(parts, number)) await erase(key);
  } finally {
    await parts.close();
  }
  return count;
}

function notReached(
  { callRecords, conversationStore, conversationTtlSeconds }: Settings, number?: string,
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
    '  log lines, which contain ids and times but no words',
    `  backups and copies ${copies}, and traces of erased data on disk`,
    '  what calls export has printed, and traces that a collector keeps',
    `  ${memory}`,
    ...(number === undefined ? [] : [`  ${withoutNumber}`]),
    "  LayerCode's own records: transcripts, recordings, the call's entry in the dashboard",
    '  data sent to models, tools and other services',
  ].join('\n') + '\n';
}
