/** Where a run is found in traces: https://www.w3.org/TR/trace-context/ */
export interface TracePlace {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  readonly traceFlags: number;
}

/** What is stored of a traced run. */
export interface TracedRun extends TracePlace {
  /** The session that its event came in. */
  readonly sessionId: string;
}
