// Reads JSON from outside without trusting its shape.

import { isObject } from '../../base/fields.ts';

export type JsonRecord = Readonly<Record<string, unknown>>;

/** The value as an object with fields, or undefined. */
export function asRecord(value: unknown): JsonRecord | undefined {
  return isObject(value) ? value : undefined;
}

/** The value as a list; an empty one for anything else. */
export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value as text; '' for anything else. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** No request has more tokens. A greater count would drown all others in a sum. */
const MAX_COUNT = 1_000_000_000;

/** A number from 0 to a billion, or undefined. */
export function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value <= MAX_COUNT ? value : undefined;
}
