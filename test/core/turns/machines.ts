// Three processes that share a store and send each other messages.

import type { TestContext } from 'node:test';

import type { SharedStore } from '../../../src/core/conversations/stores/shared-store.ts';
import type { TestAgent } from '../../fixtures/app.ts';
import { Post } from '../../fixtures/post.ts';
import {
  askingBack, hold as holdAny, HeldReply, spoken, type AskingBack,
} from '../conversations/asking-back.ts';
import { sharing } from '../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';

export const ID = { conversation_id: 'c' } as const;

type Fields = Readonly<Record<string, unknown>>;

/** A process and its connection to the database. */
export interface Machine extends AskingBack {
  readonly parts: PartsInMemory;
  readonly store: SharedStore;
}

export interface Machines {
  readonly a: Machine;
  readonly b: Machine;
  readonly c: Machine;
  readonly post: Post;
}

type Variables = Readonly<Record<string, string>>;

/**
 * `environment` may be a function of the process: `a`, `b` or `c`. `timeoutMs`: how long a store
 * may take.
 */
export function machines(
  t: TestContext,
  agent: TestAgent = {},
  environment: Variables | ((address: string) => Variables) = {},
  timeoutMs = 5_000,
): Machines {
  const shared: SharedParts = new Map();
  const post = new Post();
  const open = (address: string): Machine => {
    const parts = new PartsInMemory(shared, { isSlow: true });
    const store = sharing(parts, { timeoutMs });
    const own = typeof environment === 'function' ? environment(address) : environment;
    return { ...askingBack(t, store, agent, post.channel(address), own), parts, store };
  };
  return { a: open('a'), b: open('b'), c: open('c'), post };
}

/** Says the words in a turn that has them as its id. Resolves with the reply. */
export function says({ client }: AskingBack, words: string, fields: Fields = {}): Promise<string> {
  return spoken(client.say(words, { turn_id: words, ...ID, ...fields }));
}

/** Says words that begin with "hold". Resolves when the turn has said its first piece. */
export function hold(machine: AskingBack, words = 'hold', fields: Fields = {}): Promise<HeldReply> {
  return holdAny(machine, words, words, { ...ID, ...fields });
}
