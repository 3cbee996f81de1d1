// A tool's result, as JSON text for the model.

import { jsonFaultOf } from '../base/json-value.ts';

/** A tool returned something that is not JSON, so the model would get less than the tool meant. */
export class ToolResultError extends TypeError {
  override readonly name = 'ToolResultError';
  readonly code = 'ERR_TOOL_RESULT';
}

/**
 * The result as JSON text. Dates and anything else with a `toJSON` are accepted, and undefined
 * properties are left out. For anything else throws a `ToolResultError` that names the place.
 */
export function resultText(result: unknown): string {
  if (result === undefined) return '{"status":"ok"}';
  const fault = jsonFaultOf(result, 'result', { takesToJson: true });
  if (fault !== undefined) throw new ToolResultError(`${fault.path} ${fault.text}`);
  return JSON.stringify(result);
}
