// The agent's state as a part: the text as it was last written whole, and the changes since. This
// way a turn that adds a little to a long state costs little.

import { isTooDeep } from '../../../base/fields.ts';
import { applyToSame, differencesIn, differencesOf, mapIn } from '../../../base/json-difference.ts';
import { parseJson } from '../../../base/json.ts';

/** A shorter state is always written whole. */
const MIN_LENGTH = 1_024;
/** How many versions are kept. After more changes than that, no process finds its own again. */
export const MAX_VERSIONS = 16;

export interface StoredState {
  readonly text: string | undefined;
  /** The last versions of the conversation that changed the state. */
  readonly versions: readonly string[];
  /** The length of the changes since it was written whole. */
  readonly added: number;
}

export const NO_STATE: StoredState = { text: undefined, versions: [], added: 0 };

/** What is to be written: all of the part, or what is added to it. */
type StateWrite = { readonly stored: StoredState } & (
  { readonly set: string } | { readonly add: string }
);

/** What turns the state into `text`, in the write that creates `version`. */
export function stateWrite(
  { text: was = '', versions: made, added }: StoredState,
  text: string,
  version: string,
): StateWrite {
  const versions = [...made, version].slice(-MAX_VERSIONS);
  const differences = was.length < MIN_LENGTH ? undefined : between(was, text);
  const add = `\n${version} ${differences}`;
  return differences === undefined || added + add.length > was.length
    ? { stored: { text, versions, added: 0 }, set: `${text}\n${versions.join(' ')}` }
    : { stored: { text, versions, added: added + add.length }, add };
}

/**
 * Undefined if differences do not result in exactly that text, as when names are in another order.
 */
function between(was: string, text: string): string | undefined {
  const [root, next] = [was, text].map(mapIn);
  if (root === undefined || next === undefined) return undefined;
  const differences = differencesOf(root, next);
  const isSame = applyToSame(root, differences) && JSON.stringify(root) === text;
  return isSame ? JSON.stringify(differences) : undefined;
}

/** Undefined if the part cannot be read. */
export function stateIn(part: string): StoredState | undefined {
  const [text = '', versions = ''] = part.split('\n', 2);
  const root = mapIn(text);
  if (root === undefined || isTooDeep(root)) return undefined;
  const stored = { text, versions: versions.split(' '), added: 0 };
  return withAdded(stored, part.slice(text.length + 1 + versions.length));
}

/** The state with what was added to its part. Undefined if that cannot be read. */
export function withAdded(stored: StoredState, changes: string): StoredState | undefined {
  if (changes === '') return stored;
  const root = mapIn(stored.text ?? '');
  if (root === undefined) return undefined;
  const versions = [...stored.versions];
  for (const line of changes.split('\n').slice(1)) {
    const [version = ''] = line.split(' ', 1);
    const differences = differencesIn(parseJson(line.slice(version.length)));
    if (differences === undefined || !applyToSame(root, differences)) return undefined;
    versions.push(version);
  }
  if (isTooDeep(root)) return undefined;
  const added = stored.added + changes.length;
  return { text: JSON.stringify(root), versions: versions.slice(-MAX_VERSIONS), added };
}
