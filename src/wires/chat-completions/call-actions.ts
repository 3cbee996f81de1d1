// On this wire, hanging up and transferring are tools of the platform. It offers them with each
// request, and we ask it to call them.

import type { SentEvent } from '../../calls/reply-event.ts';
import type { PlatformTool, Profile } from './profiles.ts';

/** A tool call in the form of this wire. */
export interface CompletionToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** What ends a reply by acting on the call. */
type CallAction = Extract<SentEvent, { type: 'hangup' | 'transfer' }>;

const WHAT = { data: 'data for a browser', hangup: 'hanging up', transfer: 'a transfer' } as const;

/** What a reply can ask the platform to do, with the tools that came with the request. */
export class OfferedActions {
  readonly #profile: Profile;
  readonly #offered: ReadonlySet<string>;
  readonly #warnOnce: (what: string) => void;

  constructor(profile: Profile, offered: ReadonlySet<string>, warnOnce: (what: string) => void) {
    this.#profile = profile;
    this.#offered = offered;
    this.#warnOnce = warnOnce;
  }

  /** The tool call that does it. Undefined if the platform offers no such tool. */
  callFor(event: CallAction, turnId: string): CompletionToolCall | undefined {
    const tool = this.#toolFor(event.type);
    if (tool === undefined) return undefined;
    const { name, argument = 'destination', message, briefing } = tool;
    const args =
      event.type === 'hangup'
        ? { reason: 'the agent has said goodbye' }
        : {
            [argument]: event.to,
            ...(message === undefined ? {} : { [message]: '' }),
            ...(briefing === undefined ? {} : { [briefing]: event.briefing ?? '' }),
          };
    return {
      id: `call_${turnId.slice(0, 32)}`,
      type: 'function',
      function: { name, arguments: JSON.stringify(args) },
    };
  }

  get canTransfer(): boolean {
    return this.#toolFor('transfer') !== undefined;
  }

  /** Whether the platform has no word for the event. Warns once. */
  drops({ type }: SentEvent): boolean {
    if (type === 'say') return false;
    const isOffered = type !== 'data' && this.#toolFor(type) !== undefined;
    if (!isOffered) this.#warnOnce(WHAT[type]);
    return !isOffered;
  }

  #toolFor(type: CallAction['type']): PlatformTool | undefined {
    const { hangUp, transfer } = this.#profile;
    const tools: readonly PlatformTool[] = type === 'hangup' ? hangUp : transfer;
    return tools.find(({ name }) => this.#offered.has(name));
  }
}

/** Whether a tool is one of those that end or transfer the call. */
export function isCallAction({ hangUp, transfer }: Profile, name: string): boolean {
  return [...hangUp, ...transfer].some((tool) => tool.name === name);
}
