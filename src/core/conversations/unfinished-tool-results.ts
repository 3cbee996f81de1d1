import type { ToolCallState } from './message.ts';

/** What the model gets for a call of a `once` tool that was refused. JSON text. */
export const NOT_STARTED = '{"error":"not started"}';

/**
 * The result of a call that has acted once, if its conversation has been erased since. JSON text.
 */
export const ERASED_RESULT = 'null';

/** What the model gets for a call without a result. JSON text. */
export const UNFINISHED_RESULTS = {
  running: '{"status":"still running"}',
  interrupted: '{"error":"interrupted"}',
  unknown: '{"error":"outcome unknown"}',
} as const satisfies Readonly<Record<Exclude<ToolCallState, 'completed'>, string>>;
