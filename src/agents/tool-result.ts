// What a tool returned, as JSON text for the model.

import { jsonFaultOf } from './json-value.ts';

/** A tool returned what is no JSON, so that the model would be told less than the tool meant. */
export class ToolResultError extends TypeError {
  override readonly name = 'ToolResultError';
  readonly code = 'ERR_TOOL_RESULT';
}

/**
 * The result as JSON text. Interfaces, dates and whatever else has a `toJSON` will do, and a
 * property that is undefined is left out. Throws a `ToolResultError` that names the place of
 * anything else.
 */
export function resultText(result: unknown): string {
  if (result === undefined) return '{"status":"ok"}';
  const fault = jsonFaultOf(result, 'result', { takesToJson: true });
  if (fault !== undefined) throw new ToolResultError(`${fault.path} ${fault.text}`);
  return JSON.stringify(result);
}
