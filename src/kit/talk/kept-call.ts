// What one `turn` must know about the one before it in the same conversation, in `.layercode/`.

import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';

import { isObject } from '../../base/fields.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import {
  privateFile, readPrivateFile, writePrivateFile,
} from '../../server/process/private-files.ts';

export interface KeptCall {
  readonly sessionId: string;
  /** What the next message says about the reply that the caller spoke over. */
  readonly interruption: JsonObject | undefined;
}

const MAX_BYTES = 65_536;

/** Undefined if no call is kept. Changes nothing. */
export function readKeptCall(directory: string, conversationId: string): KeptCall | undefined {
  const text = readPrivateFile(directory, nameOf(conversationId), MAX_BYTES);
  const value: unknown = text === undefined ? undefined : parseJson(text);
  if (!isObject(value) || typeof value['sessionId'] !== 'string') return undefined;
  const { sessionId, interruption } = value;
  return {
    sessionId,
    interruption: isObject(interruption) ? (interruption as JsonObject) : undefined,
  };
}

/**
 * Does nothing if no file can be written. Then the next message says nothing about the reply to
 * this one.
 */
export function keepCall(directory: string, conversationId: string, call: KeptCall): void {
  try {
    writePrivateFile(directory, nameOf(conversationId), JSON.stringify(call));
  } catch {
    // As for the development secret, a read-only directory is not an error.
  }
}

/** The call is over. Does nothing if no file can be removed. */
export function forgetCall(directory: string, conversationId: string): void {
  try {
    rmSync(privateFile(directory, nameOf(conversationId)), { force: true });
  } catch {
    // Where no file can be written, there is none to remove.
  }
}

function nameOf(conversationId: string): string {
  return `turn-${createHash('sha256').update(conversationId).digest('hex').slice(0, 16)}.json`;
}
