// What goes over the browser's WebSocket. Ruled by LayerCode's page "Frontend WebSocket API", as far as text mode needs it; the types
// that begin with `local.` are our own, for looking at what happens and for provoking what is hard to provoke.

import type { JsonObject, Json } from '../layercode/fields.ts';

/** From us to the front end. */
export type ServerFrame =
  | {
      readonly type: 'turn.start' | 'turn.end';
      readonly role: 'user' | 'assistant';
      readonly turn_id: string;
    }
  | {
      readonly type: 'user.transcript' | 'response.text' | 'response.text.delta';
      readonly content: string;
      readonly turn_id: string;
    }
  /** Without sound: it tells a client that waits for the voice that the agent has not finished. */
  | {
      readonly type: 'response.audio';
      readonly content: '';
      readonly delta_id: string;
      readonly turn_id: string;
    }
  | { readonly type: 'response.data'; readonly content: Json; readonly turn_id: string }
  | { readonly type: 'response.end'; readonly turn_id: string }
  | TraceFrame;

/** Sent only to a socket opened with `trace=true`. `at` is in milliseconds since the session began; a delivery is one POST to the webhook. */
export type TraceFrame =
  | {
      readonly type: 'local.request';
      readonly delivery: number;
      readonly at: number;
      readonly signature: SignatureKind;
      readonly event: JsonObject;
    }
  | {
      readonly type: 'local.answer';
      readonly delivery: number;
      readonly at: number;
      readonly status: number;
    }
  /** An SSE event of the answer, or its JSON body. */
  | {
      readonly type: 'local.event';
      readonly delivery: number;
      readonly at: number;
      readonly event: Json;
    }
  /** `ended`: read to its end. `dropped`: we closed the connection, as the platform does at a barge-in. `failed`: refused, broken off, or no answer. */
  | {
      readonly type: 'local.over';
      readonly delivery: number;
      readonly at: number;
      readonly outcome: 'ended' | 'dropped' | 'failed';
      readonly reason?: string;
    }
  /** The server's own figures of a turn, in milliseconds from the request on, when it is over. */
  | {
      readonly type: 'local.turn';
      readonly delivery: number;
      readonly turn_id: string;
      /** completed, interrupted, failed, replayed, taken over or stale. */
      readonly outcome: string;
      /** To the model's first token; missing for an agent that asked no model. */
      readonly firstTokenMs?: number;
      readonly firstSpeechMs?: number;
      readonly durationMs: number;
      /** Why it failed. Neither the log nor LayerCode's wire carries it: it may quote what was said. */
      readonly reason?: string;
    };

export type SignatureKind = 'right' | 'wrong' | 'stale';

/** From the front end to us. Types that are not here are accepted and mean nothing. */
export type ClientFrame =
  | { readonly type: 'client.ready' }
  | { readonly type: 'client.response.text'; readonly content: string }
  | { readonly type: 'client.response.data'; readonly data: JsonObject }
  /** The caller begins to speak: a barge-in where the agent is speaking. */
  | { readonly type: 'trigger.turn.start'; readonly role?: string }
  | {
      readonly type: 'trigger.response.audio.replay_finished';
      readonly reason?: string | null;
      readonly turn_id?: string | null;
    }
  /** Delivers the last message once more, under its `turn_id`. */
  | { readonly type: 'local.redeliver' }
  /** Drops the request that streams, with nothing behind it. */
  | { readonly type: 'local.drop' }
  /** Posts the last message with a signature that must be refused. */
  | { readonly type: 'local.forge'; readonly signature: 'wrong' | 'stale' }
  /** Ends the session: `session.end` is posted, then the socket closes. */
  | { readonly type: 'local.end' };
