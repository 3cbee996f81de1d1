// What this wire's platforms post, as agents see it in `turn.event`.

import type { Json, JsonObject } from '../../../base/json.ts';

/** The name of this wire in logs, metrics and records. */
export const CHAT_COMPLETIONS = 'chat-completions';

/** One message of a request. */
export interface CompletionMessage {
  readonly role: string;
  readonly content?: Json | undefined;
  readonly [unlisted: string]: unknown;
}

/** A request for a completion: its body, and a type. */
export interface CompletionEvent {
  readonly type: 'chat.completion';
  /** The whole call so far. */
  readonly messages: readonly CompletionMessage[];
  readonly stream?: boolean | null;
  readonly metadata?: JsonObject | null;
  readonly turn_id?: null;
  readonly [unlisted: string]: unknown;
}

/** A platform's report of a call: that it has ended, or that the caller spoke over the reply. */
export interface CallReportEvent {
  readonly type: 'call.report';
  /** As it was posted. */
  readonly body: JsonObject;
  readonly metadata?: JsonObject | null;
  readonly turn_id?: null;
  readonly [unlisted: string]: unknown;
}

declare module '../../calls/raw-event.ts' {
  interface RawEvents {
    readonly chatCompletions: {
      readonly start: CompletionEvent;
      readonly message: CompletionEvent;
      readonly interruption: CallReportEvent;
      readonly end: CallReportEvent;
    };
  }
}
