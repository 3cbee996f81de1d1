// Hanging up and transferring: on this wire these are tools of the platform's, which it offers with
// each request and we ask it to call.

import type { SentEvent } from '../../calls/reply-event.ts';
import type { Profile } from './profiles.ts';

/** A tool call in the form of this wire. */
export interface CompletionToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** What a reply can ask the platform to do. */
export interface CallActions {
  /** The call that does it. Undefined, after a warning, if the platform offers no such tool. */
  callFor(
    event: Extract<SentEvent, { type: 'hangup' | 'transfer' }>, turnId: string,
  ): CompletionToolCall | undefined;
  readonly canTransfer: boolean;
  /** Warns, once, that something of a reply cannot be sent. */
  dropped(what: string): void;
}

/** The tools that a platform has offered with a request. */
export class OfferedActions implements CallActions {
  readonly #profile: Profile;
  readonly #offered: ReadonlySet<string>;
  readonly #warnOnce: (what: string) => void;

  constructor(
    profile: Profile, offered: ReadonlySet<string>, warnOnce: (what: string) => void,
  ) {
    this.#profile = profile;
    this.#offered = offered;
    this.#warnOnce = warnOnce;
  }

  callFor(
    event: Extract<SentEvent, { type: 'hangup' | 'transfer' }>, turnId: string,
  ): CompletionToolCall | undefined {
    const { hangUp, transfer } = this.#profile;
    const isHangUp = event.type === 'hangup';
    const tool = (isHangUp ? hangUp : transfer).find(({ name }) => this.#offered.has(name));
    if (tool === undefined) {
      this.dropped(isHangUp ? 'hanging up' : 'a transfer');
      return undefined;
    }
    const { argument } = tool;
    const args =
      event.type === 'hangup'
        ? { reason: 'the agent has said goodbye' }
        : { [argument ?? 'destination']: event.to };
    return {
      id: `call_${turnId.slice(0, 32)}`,
      type: 'function',
      function: { name: tool.name, arguments: JSON.stringify(args) },
    };
  }

  get canTransfer(): boolean {
    return this.#profile.transfer.some(({ name }) => this.#offered.has(name));
  }

  dropped(what: string): void {
    this.#warnOnce(what);
  }
}

/** Whether a tool is one of those that end or transfer the call. */
export function isCallAction({ hangUp, transfer }: Profile, name: string): boolean {
  return [...hangUp, ...transfer].some((tool) => tool.name === name);
}
