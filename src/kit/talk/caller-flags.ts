// The flags that say who calls.

import { isObject } from '../../base/fields.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import type { CallerFacts } from '../platform/test-wire.ts';
import { wrongValue, type Flags } from '../terminal/flags.ts';

export const CALLER_FLAGS = ['--from', '--metadata'] as const;

export type CallerFlags = Flags<(typeof CALLER_FLAGS)[number]>;

const MAX_NUMBER_LENGTH = 64;

/** Throws a `UsageError` for values that no platform would send. */
export function parseCallerFlags(
  { '--from': from, '--metadata': metadata }: CallerFlags,
): CallerFacts {
  return {
    from: from === undefined ? undefined : parseNumber(from),
    metadata: metadata === undefined ? undefined : parseMetadata(metadata),
  };
}

/** Some wires put the number into a header. */
function parseNumber(value: string): string {
  if (/^[ -~]+$/.test(value) && value.length <= MAX_NUMBER_LENGTH) return value;
  const rule = `must be a number such as +15550100: at most ${MAX_NUMBER_LENGTH} characters of ASCII`;
  throw wrongValue('--from', rule, value);
}

function parseMetadata(value: string): JsonObject {
  const metadata = parseJson(value);
  if (isObject(metadata)) return metadata as JsonObject; // it was JSON
  throw wrongValue('--metadata', 'must be a JSON object such as {"plan":"gold"}', value);
}
