// What an agent keeps about a conversation besides its history.

import { LiveStates, type StateRedactors } from './live-state.ts';

/** Made by `defineState`. Connects an agent with the tools that use its state. */
export interface State<S = unknown> {
  /** Creates the state of a new conversation. */
  readonly create: () => S;
  /** For the server: opens a container for the states of its active conversations. */
  readonly open: (redactorFor?: StateRedactors) => LiveStates<S>;
}

/**
 * Defines what an agent keeps about each conversation. `create` is called when one begins. The
 * state is stored with the conversation, so it must be plain JSON. Pass the result to
 * `defineAgent` and to each `tool` that uses it.
 */
export function defineState<S extends object>(create: () => S): State<S> {
  if (typeof create !== 'function') {
    throw new TypeError(`defineState takes a function that creates a state, got ${typeof create}`);
  }
  return stateMadeBy(create);
}

export function stateMadeBy<S>(create: () => S): State<S> {
  const open = (redactorFor?: StateRedactors): LiveStates<S> => new LiveStates(create, redactorFor);
  return Object.freeze({ create, open });
}

export function isState<S>(value: unknown): value is State<S> {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && 'open' in value && typeof value.open === 'function';
}
