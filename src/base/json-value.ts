// Checks that a value can be JSON. `JSON.stringify` does not help: it writes nonsense for a Map, a
// function or NaN without complaint.

import { MAX_DEPTH } from './fields.ts';

/** What is not JSON, and where: `result.cart`, `is an instance of Map, which has no toJSON()`. */
interface JsonFault {
  readonly path: string;
  readonly text: string;
}

/**
 * Why the value is not JSON, or undefined if it is. Properties set to undefined are allowed and
 * left out. With `takesToJson`, dates and other objects with a `toJSON` are allowed too, although
 * they cannot be read back.
 */
export function jsonFaultOf(
  given: unknown,
  path: string,
  rules: { readonly takesToJson: boolean },
  parents: Set<unknown> = new Set(),
): JsonFault | undefined {
  const value = rules.takesToJson && hasToJson(given) ? given.toJSON(path) : given;
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return undefined;
  const fault = (text: string): JsonFault => ({ path, text });
  if (typeof value === 'number') {
    return Number.isFinite(value) ? undefined : fault(`is ${value}, which is not JSON`);
  }
  if (typeof value !== 'object') return fault(`is ${nameOf(value)}, which is not JSON`);
  if (parents.has(value)) return fault('contains itself, which JSON does not allow');
  if (parents.size > MAX_DEPTH) return fault('is nested too deeply');
  const isList = Array.isArray(value);
  if (!isList && (!isPlain(value) || hasToJson(value))) {
    const why = rules.takesToJson ? 'which has no toJSON()' : 'which is not plain JSON';
    return fault(`is ${nameOf(value)}, ${why}`);
  }
  parents.add(value);
  for (const [name, item] of isList ? value.entries() : Object.entries(value)) {
    if (item === undefined && !isList) continue;
    const place = isList ? `${path}[${name}]` : `${path}.${name}`;
    const inner = jsonFaultOf(item, place, rules, parents);
    if (inner !== undefined) return inner;
  }
  parents.delete(value);
  return undefined;
}

function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  if (typeof value !== 'object' || value === null || !('toJSON' in value)) return false;
  return typeof value.toJSON === 'function';
}

/**
 * Whether the object has no class. The prototype of plain objects has no prototype, in any realm.
 */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function nameOf(value: unknown): string {
  if (value === undefined) return 'undefined';
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`;
  const { constructor } = value as { readonly constructor?: { readonly name?: unknown } };
  return `an instance of ${String(constructor?.name)}`;
}
