// What the log says about a failed tool call.

import type { Logger } from '../../base/log.ts';
import { withoutMessage } from '../../base/thrown-values.ts';
import { StateError } from '../state/state-error.ts';
import { HandOverError } from './tool-hand-over-error.ts';
import { NotDone } from './tool-not-done.ts';
import { ToolResultError } from './tool-result.ts';
import { ToolTimeout } from './tool-time-limit.ts';

interface FailedToolCall {
  readonly conversationId: string;
  readonly turnId: string;
  readonly tool: string;
}

export function logFailure(log: Logger, call: FailedToolCall, error: unknown): void {
  // What a tool decides is not a fault of its code, so its stack explains nothing.
  if (error instanceof NotDone) return log.info('a tool has done nothing', { ...call });
  const reason = reasonOf(error);
  log.warn('tool failed', { ...call, reason, error: withoutMessage(error, reason) });
}

/** The error's message, if it is one of ours. Any other may quote the caller. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof ToolResultError || error instanceof HandOverError) return error.loggable;
  return error instanceof ToolTimeout || error instanceof StateError ? error.message : undefined;
}
