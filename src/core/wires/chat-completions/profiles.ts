// What differs between the platforms that speak this wire. Sources: their documentation, as of
// November 2026. Nothing here has been tried against a live platform.

import type { IncomingHttpHeaders } from 'node:http';

import { isId, isObject } from '../../../base/fields.ts';
import type { Caller } from '../../calls/call-event.ts';

/** The part of a request that profiles look at. */
interface ProfiledRequest {
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: IncomingHttpHeaders;
}

/** Where a value is found: a path in the body, or the name of a header. */
type Place = readonly string[] | string;

/** A platform's tool that acts on the call. */
export interface PlatformTool {
  readonly name: string;
  /** The argument that takes the number or name to transfer to. */
  readonly argument?: string;
  /**
   * The argument for a text to the caller, which it requires. It is empty: the agent speaks for
   * itself.
   */
  readonly message?: string;
  /** The argument for a text to the person who is called, which it requires. */
  readonly briefing?: string;
}

export interface Profile {
  /** Looked up in this order. */
  readonly conversationId: readonly Place[];
  readonly from: readonly Place[];
  readonly to: readonly Place[];
  readonly metadata: readonly Place[];
  /** `heard`: the assistant's texts come back as far as the caller heard them. */
  readonly assistantText: 'heard' | 'unknown';
  /** Whether the platform sends an `idempotency-key` of its own with each request. */
  readonly hasIdempotencyKey: boolean;
  /**
   * Whether texts that leave together are one chunk, because the platform limits the whole reply.
   */
  readonly joinsTexts: boolean;
  /** What ends a filler, so that it is spoken at once. */
  readonly fillerEnd: string;
  readonly hangUp: readonly PlatformTool[];
  readonly transfer: readonly PlatformTool[];
}

const HEADERS = {
  conversationId: ['x-conversation-id'],
  from: ['x-caller-number'],
  to: ['x-called-number'],
  metadata: [['metadata']],
} as const;
const COMMON = {
  ...HEADERS,
  assistantText: 'unknown',
  hasIdempotencyKey: false,
  joinsTexts: false,
  fillerEnd: ' ',
  hangUp: [{ name: 'end_call' }, { name: 'endCall' }],
  transfer: [
    {
      name: 'transfer_to_number',
      argument: 'transfer_number',
      message: 'client_message',
      briefing: 'agent_message',
    },
    { name: 'transferCall', argument: 'destination' },
    { name: 'transfer_call', argument: 'destination' },
  ],
} as const;

/** Vapi says who is calling, so headers are ignored: a browser may have chosen them. */
const VAPI = {
  conversationId: [['call', 'id'], ['call', 'callId'], 'x-conversation-id'],
  from: [['customer', 'number'], ['call', 'customer', 'number']],
  to: [['phoneNumber', 'number'], ['call', 'phoneNumber', 'number']],
  metadata: [['metadata'], ['call', 'metadata']],
} as const;

export const PROFILES = {
  generic: COMMON,
  vapi: { ...COMMON, ...VAPI },
  elevenlabs: { ...COMMON, metadata: [['elevenlabs_extra_body']], fillerEnd: '... ' },
  livekit: {
    ...COMMON,
    conversationId: ['x-livekit-room-id', 'x-conversation-id'],
    assistantText: 'heard',
  },
  cartesia: { ...COMMON, hasIdempotencyKey: true, joinsTexts: true },
} as const satisfies Readonly<Record<string, Profile>>;

/** The platforms of `CHAT_COMPLETIONS_PROFILE`. */
export type ProfileName = keyof typeof PROFILES;

export const PROFILE_NAMES = Object.keys(PROFILES) as readonly ProfileName[];

/** The first text that could be an id or a number. Undefined if there is none. */
export function firstId(places: readonly Place[], request: ProfiledRequest): string | undefined {
  for (const place of places) {
    const value = valueAt(place, request);
    if (isId(value)) return value;
  }
  return undefined;
}

/** The first value that is there. */
export function firstValue(places: readonly Place[], request: ProfiledRequest): unknown {
  for (const place of places) {
    const value = valueAt(place, request);
    if (value !== undefined && value !== null) return value;
  }
  return undefined;
}

function valueAt(place: Place, { body, headers }: ProfiledRequest): unknown {
  if (typeof place === 'string') return headers[place];
  let value: unknown = body;
  for (const name of place) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** The ends of a telephone call. Undefined for one from a browser, which may claim any number. */
export function callerOf(profile: Profile, request: ProfiledRequest): Caller | undefined {
  if (valueAt(['call', 'type'], request) === 'webCall') return undefined;
  const [from, to] = [firstId(profile.from, request), firstId(profile.to, request)];
  return from === undefined && to === undefined ? undefined : { from, to };
}
