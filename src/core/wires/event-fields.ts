// Fields that events of every wire have.

import { isObject } from '../../base/fields.ts';
import type { JsonObject } from '../../base/json.ts';

/**
 * Shared by all events without metadata, which most are. Each open stream would otherwise keep its
 * own.
 */
const NO_METADATA: JsonObject = Object.freeze({});

/** `value` was parsed from JSON. */
export function metadataOf(value: unknown): JsonObject {
  return isObject(value) ? (value as JsonObject) : NO_METADATA;
}

/** Milliseconds since the epoch. Undefined if the value is not a time. */
export function msOf(value: unknown): number | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const ms = new Date(value).getTime();
  return Number.isNaN(ms) ? undefined : ms;
}
