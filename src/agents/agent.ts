import type { IncomingHttpHeaders } from 'node:http';

import type { Awaitable } from '../awaitable.ts';
import type { Message } from '../conversations/message.ts';
import type {
  CallEndedEvent, CallStartedEvent, DataEvent, LayercodeEvent, MessageEvent, SessionEndEvent, SessionStartEvent, SessionUpdateEvent,
  TranscriptEvent,
} from '../layercode/events.ts';
import type { Json, JsonObject } from '../layercode/fields.ts';
import type { Reply } from '../layercode/reply.ts';
import type { Logger } from '../log.ts';

/** What every hook is told. */
export interface Occasion<E extends LayercodeEvent = LayercodeEvent> {
  /** As the platform posted it, with fields that this version does not know. */
  readonly event: E;
  readonly conversationId: string;
  /** The event's `metadata` and `custom_metadata` as one object; the latter wins. What a browser put there is not to be trusted. */
  readonly metadata: JsonObject;
  /** Of the webhook request, `custom_headers` included. Headers are not signed: they prove nothing. */
  readonly headers: IncomingHttpHeaders;
  /** Its lines carry the request's id. Never log a caller's words at `info` and above. */
  readonly log: Logger;
  /** Fires when nobody waits any more. Hand it to `fetch`, models and tools. */
  readonly signal: AbortSignal;
}

/** What a hook that speaks is told. */
export interface Turn<E extends LayercodeEvent = LayercodeEvent> extends Occasion<E> {
  /** The platform's `turn_id`, or one of our own where it sent none. */
  readonly turnId: string;
  /** The conversation so far in the order of its turns, up to the caller's words of this one. */
  readonly history: readonly Message[];
}

export interface StartTurn extends Turn<SessionStartEvent | CallStartedEvent> {
  /** Whether the conversation is known: the caller reconnected, and a welcome was spoken before. */
  readonly isResumed: boolean;
}

export interface MessageTurn extends Turn<MessageEvent | TranscriptEvent> {
  /** The caller's words. */
  readonly text: string;
}

export interface DataOccasion extends Occasion<DataEvent> {
  /** What the browser sent. */
  readonly data: JsonObject;
}

/** A turn that the caller spoke over, or left. */
export interface InterruptedTurn {
  readonly conversationId: string;
  readonly turnId: string;
  /** What is kept of the reply: what was sent, or what the caller heard where the platform told. */
  readonly text: string;
}

/**
 * What a hook that speaks may return: a text, or texts as they come, which are spoken at once, piece by piece. A hook that
 * spoke through the reply, or has nothing to say, returns nothing. An iterable that ends without a word is a failure: it was
 * a promise of text.
 */
export type Spoken = string | void | Iterable<string> | AsyncIterable<string>;

/** The product: what is said on a call. Hooks may be plain, async, or async generators. */
export interface Agent {
  readonly name: string;
  /** One sentence for lists of agents. */
  readonly description?: string;
  /** Said when a turn fails. Default "Sorry, something went wrong. Could you say that again?" */
  readonly apology?: string;
  /** A call begins, or a caller is back. */
  onSessionStart?(turn: StartTurn, reply: Reply): Awaitable<Spoken>;
  /** The caller said something. */
  onMessage(turn: MessageTurn, reply: Reply): Awaitable<Spoken>;
  /** The caller's browser sent data; what is returned goes back as JSON, `{"status":"ok"}` where nothing is. */
  onData?(occasion: DataOccasion): Awaitable<Json | void>;
  /** News of the session, for instance that its recording is ready. */
  onSessionUpdate?(occasion: Occasion<SessionUpdateEvent>): Awaitable<void>;
  /** The session is over; its conversation may be resumed by another. */
  onSessionEnd?(occasion: Occasion<SessionEndEvent | CallEndedEvent>): Awaitable<void>;
  /** Told once for each turn that was interrupted, while it ran or after it had been sent. */
  onInterrupted?(turn: InterruptedTurn): Awaitable<void>;
}

/** What `defineAgent` takes: an agent, and shorthands. */
export interface AgentDefinition extends Agent {
  /** Said when a call begins; a caller who is back hears "Welcome back." instead. `onSessionStart` replaces both. */
  readonly welcome?: string;
}

export const DEFAULT_APOLOGY = 'Sorry, something went wrong. Could you say that again?';
export const WELCOME_BACK = 'Welcome back.';

const HOOKS = ['onSessionStart', 'onMessage', 'onData', 'onSessionUpdate', 'onSessionEnd', 'onInterrupted'] as const;
const TEXTS = ['name', 'description', 'apology', 'welcome'] as const;

/** Checks an agent and fills in its welcome. Throws a `TypeError` that names a missing, misspelt or wrong field. */
export function defineAgent(definition: AgentDefinition): Agent {
  checkDefinition(definition);
  const { welcome } = definition;
  if (welcome === undefined || definition.onSessionStart !== undefined) return definition;
  return { ...definition, onSessionStart: ({ isResumed }) => (isResumed ? WELCOME_BACK : welcome) };
}

function checkDefinition(definition: AgentDefinition): void {
  if (typeof definition !== 'object' || definition === null) throw new TypeError(`an agent must be an object, got ${String(definition)}`);
  for (const key of Object.keys(definition)) {
    const isHook = (HOOKS as readonly string[]).includes(key);
    if (!isHook && !(TEXTS as readonly string[]).includes(key)) {
      throw new TypeError(`an agent has no field "${key}"; its hooks are ${HOOKS.join(', ')}`);
    }
    const value: unknown = definition[key as keyof AgentDefinition];
    const expected = isHook ? 'function' : 'string';
    if (value !== undefined && typeof value !== expected) throw new TypeError(`an agent's ${key} must be a ${expected}, got ${typeof value}`);
  }
  if (!definition.name) throw new TypeError('an agent must have a name');
  if (definition.onMessage === undefined) throw new TypeError(`agent "${definition.name}" must have onMessage`);
}
