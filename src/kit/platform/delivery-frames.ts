// What can be told of a delivery. Types alone: the playground's page is checked against them.

import type { Json, JsonObject } from '../../base/json.ts';
import type { Forgery, TestEvent } from './test-wire.ts';

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
       * How much of the previous reply was heard, where the wire has no place to say so: as
       * `interruption_context` of LayerCode's wire. Missing if it was not interrupted.
       */
      readonly interruption?: JsonObject;
    }
  | { readonly type: 'local.answer'; readonly status: number }
  /** An SSE event of the answer, or its JSON body. */
  | { readonly type: 'local.event'; readonly event: Json | TestEvent }
  | ({ readonly type: 'local.over' } & DeliveryEnd)
);
