// A tool's result, as JSON text for the model.

import { jsonFaultOf } from '../../base/json-value.ts';

/** Longest result that the model gets, in UTF-16 code units. */
export const MAX_RESULT_LENGTH = 65_536;

/** A tool returned something that is not JSON, so the model would get less than the tool meant. */
export class ToolResultError extends TypeError {
  override readonly name = 'ToolResultError';
  readonly code = 'ERR_TOOL_RESULT';
  /** For the log: without names below the first one, which may be the caller's words. */
  readonly loggable: string;

  constructor(path: string, fault: string) {
    super(`${path} ${fault}`);
    const [field = 'result'] = /^result(?:\.\w+)?/.exec(path) ?? [];
    this.loggable = `${path === field ? field : `something in ${field}`} ${fault}`;
  }
}

/**
 * The result as JSON text. Dates and anything else with a `toJSON` are accepted, and undefined
 * properties are left out. Throws a `ToolResultError` that names the place of anything else.
 */
export function resultText(result: unknown): string {
  if (result === undefined) return '{"status":"ok"}';
  const fault = jsonFaultOf(result, 'result', { takesToJson: true });
  if (fault !== undefined) throw new ToolResultError(fault.path, fault.text);
  return JSON.stringify(result);
}

/** Its beginning, if it is longer than `MAX_RESULT_LENGTH`. */
export function cutResult(text: string): string {
  return text.length <= MAX_RESULT_LENGTH ? text : `${text.slice(0, MAX_RESULT_LENGTH)}… [cut]`;
}
