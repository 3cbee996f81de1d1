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
  readonly #warnOnce: (what: string, hint?: string) => void;

  constructor(
    profile: Profile,
    offered: ReadonlySet<string>,
    warnOnce: (what: string, hint?: string) => void,
  ) {
    this.#profile = profile;
    this.#offered = offered;
    this.#warnOnce = warnOnce;
  }

  /** The tool call for an action. Undefined if the platform offers no such tool. */
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

  /** Whether the event cannot be expressed on this platform. Warns once. */
  drops({ type }: SentEvent): boolean {
    if (type === 'say') return false;
    if (type !== 'data' && this.#toolFor(type) !== undefined) return false;
    this.#warnOnce(WHAT[type], type === 'data' ? undefined : this.#remedyFor(type));
    return true;
  }

  #remedyFor(type: CallAction['type']): string {
    const names = this.#toolsFor(type).map(({ name }) => name);
    return `on the platform, switch on or add the tool ${names.join(' or ')}`;
  }

  #toolFor(type: CallAction['type']): PlatformTool | undefined {
    return this.#toolsFor(type).find(({ name }) => this.#offered.has(name));
  }

  #toolsFor(type: CallAction['type']): readonly PlatformTool[] {
    const { hangUp, transfer } = this.#profile;
    return type === 'hangup' ? hangUp : transfer;
  }
}

/** Whether a tool is one of those that end or transfer the call. */
export function isCallAction({ hangUp, transfer }: Profile, name: string): boolean {
  return [...hangUp, ...transfer].some((tool) => tool.name === name);
}
