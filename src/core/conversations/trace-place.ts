/** Where a run is found in traces: https://www.w3.org/TR/trace-context/ */
export interface TracePlace {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  readonly traceFlags: number;
}

/** The earlier runs, in any process, that a run is linked to. */
export interface RunLinks {
  /** The last run of the same turn. */
  readonly repeats?: TracePlace | undefined;
  /**
   * The previous turn, if it is still running or was interrupted in the same session, or if the
   * caller spoke over its reply.
   */
  readonly interrupts?: TracePlace | undefined;
}

/** What is stored about a traced run. */
export interface TracedRun extends TracePlace {
  /** The session that its event came in. */
  readonly sessionId: string;
}
