// What an agent keeps of a conversation beside its history.

import { LiveStates } from './live-state.ts';

/** Made by `defineState`. One value ties an agent to the tools that use its state. */
export interface State<S = unknown> {
  /** The state of a conversation that has none yet. */
  readonly create: () => S;
  /** For the server: the states of the conversations that run there. */
  readonly open: () => LiveStates<S>;
}

/**
 * Says what an agent keeps of each conversation: `create` makes it when a conversation begins. It
 * must be plain JSON, as it is stored with the conversation. Give the same value to `defineAgent`
 * and to each `tool` that uses it.
 */
export function defineState<S extends object>(create: () => S): State<S> {
  if (typeof create !== 'function') {
    throw new TypeError(`defineState takes a function that makes a state, got ${typeof create}`);
  }
  return stateMadeBy(create);
}

export function stateMadeBy<S>(create: () => S): State<S> {
  return Object.freeze({ create, open: () => new LiveStates(create) });
}

export function isState<S>(value: unknown): value is State<S> {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && 'open' in value && typeof value.open === 'function';
}
