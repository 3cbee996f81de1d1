// Which parts of a conversation the last changes have touched: a store keeps this as the version.
// The script in redis-store.ts reads and writes the same.

import type { PartsChange, StoredConversation } from './part-store.ts';

/** About twenty changes. A reader with an older version gets all parts. */
export const MAX_LOG = 500;

/**
 * One line for each change, the newest first: its version, and the names of the parts. The name of
 * a part that was only added to is followed by a plus sign and how much was added. The last line
 * may be cut off.
 */
type ChangeLog = string;

/** The version of the newest change. Undefined if there is none. */
export function versionIn(log: ChangeLog | undefined): string | undefined {
  return log === undefined ? undefined : /^\S*/.exec(log)?.[0];
}

/** The log with one more change, which creates the version `to`. */
export function withChange(
  log: ChangeLog,
  to: string,
  { set, add = new Map<string, string>(), remove }: PartsChange,
): ChangeLog {
  const added = [...add].map(([name, text]) => `${name}+${text.length}`);
  return `${[to, ...set.keys(), ...added, ...remove].join(' ')}\n${log.slice(0, MAX_LOG)}`;
}

/**
 * What is new to someone who makes that change to an earlier version. Undefined if the log does not
 * go back that far. `textOf` reads a part.
 */
export function newsFor(
  log: ChangeLog,
  { from, set, remove }: Pick<PartsChange, 'from' | 'set' | 'remove'>,
  textOf: (name: string) => string | undefined,
): StoredConversation | undefined {
  const touched = touchedSince(log, from);
  if (touched === undefined) return undefined;
  for (const name of [...set.keys(), ...remove]) touched.set(name, undefined);
  const [parts, added] = [new Map<string, string>(), new Map<string, string>()];
  const removed: string[] = [];
  for (const [name, size] of touched) {
    const text = textOf(name);
    if (text === undefined) removed.push(name);
    else if (size === undefined) parts.set(name, text);
    else added.set(name, text.slice(-size));
  }
  return { version: versionIn(log) ?? '', parts, news: { added, removed } };
}

/**
 * The parts touched since that version, each with how much was added if nothing else happened to
 * it.
 */
function touchedSince(
  log: ChangeLog,
  version: string | undefined,
): Map<string, number | undefined> | undefined {
  const touched = new Map<string, number | undefined>();
  for (const [, of, names = ''] of log.matchAll(/^(\S+)(.*)\n/gm)) {
    if (of === version) return touched;
    for (const [, name = '', added] of names.matchAll(/ ([^ +]+)\+?(\d*)/g)) {
      const before = touched.has(name) ? touched.get(name) : 0;
      const isWhole = added === '' || before === undefined;
      touched.set(name, isWhole ? undefined : before + Number(added));
    }
  }
  return undefined;
}
