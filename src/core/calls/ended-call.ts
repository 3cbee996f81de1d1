/** A session. */
export interface RecordedCall {
  readonly sessionId: string;
  readonly conversationId: string;
  /** The store's key for the conversation. No other agent's conversation has the same key. */
  readonly conversationKey: string;
  readonly agent: string;
  /** The name of the wire that the call came over. */
  readonly wire: string;
  /** The phone numbers of a telephone call, if the event has them. */
  readonly caller: { readonly from: string | undefined; readonly to: string | undefined }
    | undefined;
}

/** A session that has ended. */
export interface EndedCall extends RecordedCall {
  /** Milliseconds since the epoch. Undefined if the platform did not say. */
  readonly startedAt: number | undefined;
  readonly endedAt: number;
  /** False if the platform has never reported the end. Default true. */
  readonly isReported?: boolean;
  /** Whether the platform will report the end again a moment later, with its times. */
  readonly isReportedAgain?: boolean;
}
