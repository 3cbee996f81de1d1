// What a tool returned, as JSON text for the model.

import { MAX_DEPTH } from '../layercode/fields.ts';

/** A tool returned what is no JSON, so that the model would be told less than the tool meant. */
export class ToolResultError extends TypeError {
  override readonly name = 'ToolResultError';
  readonly code = 'ERR_TOOL_RESULT';
}

/**
 * The result as JSON text. Interfaces, dates and whatever else has a `toJSON` will do, and a
 * property that is undefined is left out. Throws a `ToolResultError` that names the place of
 * anything else: what `JSON.stringify` writes of a Map, a function or NaN says nothing.
 */
export function resultText(result: unknown): string {
  if (result === undefined) return '{"status":"ok"}';
  checkJson(result, 'result', []);
  return JSON.stringify(result);
}

function checkJson(given: unknown, place: string, parents: readonly unknown[]): void {
  const value = hasToJson(given) ? given.toJSON(place) : given;
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return;
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return;
    throw new ToolResultError(`${place} is ${value}, which is not JSON`);
  }
  if (typeof value !== 'object') {
    throw new ToolResultError(`${place} is ${nameOf(value)}, which is not JSON`);
  }
  if (parents.includes(value)) {
    throw new ToolResultError(`${place} contains itself, which JSON cannot`);
  }
  if (parents.length > MAX_DEPTH) throw new ToolResultError(`${place} is nested too deeply`);
  const below = [...parents, value];
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkJson(item, `${place}[${index}]`, below);
  } else {
    if (!isPlain(value)) {
      throw new ToolResultError(`${place} is ${nameOf(value)}, which has no toJSON()`);
    }
    for (const [name, inner] of Object.entries(value)) {
      if (inner !== undefined) checkJson(inner, `${place}.${name}`, below);
    }
  }
}

function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  if (typeof value !== 'object' || value === null || !('toJSON' in value)) return false;
  return typeof value.toJSON === 'function';
}

/** Without a class. The prototype of plain objects has none itself, in whichever realm. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function nameOf(value: unknown): string {
  if (value === undefined) return 'undefined';
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`;
  return `an instance of ${value.constructor.name}`;
}
