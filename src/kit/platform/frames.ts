// The frames on the browser's WebSocket that text mode needs, as defined by LayerCode's page
// "Frontend WebSocket API". Types that begin with `local.` are our own: they show what happens,
// and provoke what is hard to provoke by hand.

import type { Json, JsonObject } from '../../base/json.ts';
import type { Forgery, TestEvent } from './test-wire.ts';

/** From the server to the front end. */
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
  /** Contains no sound. Shows a client waiting for the voice that the agent has not finished. */
  | {
      readonly type: 'response.audio';
      readonly content: '';
      readonly delta_id: string;
      readonly turn_id: string;
    }
  | { readonly type: 'response.data'; readonly content: Json; readonly turn_id: string }
  | { readonly type: 'response.end'; readonly turn_id: string }
  | TraceFrame;

/**
 * `ended`: read to its end. `dropped`: we closed the connection, as the platform does at a
 * barge-in. `failed`: refused, broken off or not answered.
 */
export type DeliveryEnd =
  | { readonly outcome: 'ended' | 'dropped'; readonly reason?: undefined }
  | { readonly outcome: 'failed'; readonly reason: string };

export type SignatureKind = 'right' | Forgery;

/** What happens to a delivery, which is one POST to the agent. */
export type DeliveryFrame = { readonly delivery: number } & (
  | {
      readonly type: 'local.request';
      readonly signature: SignatureKind;
      readonly event: JsonObject;
      /**
       * How much of the previous reply was heard, if the wire has no place for that. In the form of
       * `interruption_context` on LayerCode's wire. Missing if the reply was not interrupted.
       */
      readonly interruption?: JsonObject;
    }
  | { readonly type: 'local.answer'; readonly status: number }
  /** An SSE event of the answer, or its JSON body. */
  | { readonly type: 'local.event'; readonly event: Json | TestEvent }
  | ({ readonly type: 'local.over' } & DeliveryEnd)
);

/** Sent only to a socket opened with `trace=true`. */
export type TraceFrame =
  /** `at` is in milliseconds since the session began. */
  | (DeliveryFrame & { readonly at: number })
  /** The server's own figures for a turn that is over, in milliseconds since the request. */
  | {
      readonly type: 'local.turn';
      readonly delivery: number;
      readonly turn_id: string;
      /** completed, interrupted, failed, replayed, taken over or stale. */
      readonly outcome: string;
      readonly firstSpeechMs?: number | undefined;
      readonly durationMs: number;
      /** The agents that spoke, in order. Missing if only the called one did. */
      readonly speakers?: readonly string[] | undefined;
      /** One entry per model request. */
      readonly usage?: readonly TokenUsage[] | undefined;
      /**
       * Why it failed. Not in the log or on LayerCode's wire, because it may quote what was said.
       */
      readonly reason?: string;
    };

/** What one model request used. A count is missing if the vendor did not report it. */
export interface TokenUsage {
  readonly model: string;
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  /** Those of the input tokens that the vendor had cached. */
  readonly cachedTokens?: number | undefined;
  /** From the request to the first text or tool call. */
  readonly firstDeltaMs: number;
  /** `length`: the answer was cut at the model's limit. */
  readonly finishReason?: string | undefined;
}

/** From the front end to the server. Other types are accepted and ignored. */
export type ClientFrame =
  | { readonly type: 'client.ready' }
  | { readonly type: 'client.response.text'; readonly content: string }
  | { readonly type: 'client.response.data'; readonly data: JsonObject }
  /** The caller begins to speak. If the agent is speaking, this is a barge-in. */
  | { readonly type: 'trigger.turn.start'; readonly role?: string }
  | {
      readonly type: 'trigger.response.audio.replay_finished';
      readonly reason?: string | null;
      readonly turn_id?: string | null;
    }
  /** Delivers the last message again, under the same `turn_id`. */
  | { readonly type: 'local.redeliver' }
  /** Drops the request whose reply is streaming. No message follows. */
  | { readonly type: 'local.drop' }
  /**
   * Posts the last message with a signature that must be refused, or with a wrong key. Only
   * signatures can be stale.
   */
  | { readonly type: 'local.forge'; readonly signature: 'wrong' | 'stale' }
  /** Ends the session: posts `session.end`, if the wire has it, then closes the socket. */
  | { readonly type: 'local.end' };
