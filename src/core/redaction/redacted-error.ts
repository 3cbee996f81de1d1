import { messageOf } from '../../base/thrown-values.ts';

/** Takes the values out of a JSON value. */
type RedactJson = <T>(value: T) => T;

/** Deeper causes are left out. They may even form a cycle. */
const MAX_CAUSES = 5;
const MAX_PARTS = 8;
/** What every error may have. */
const USUAL = ['name', 'message', 'code', 'stack'] as const;

/**
 * The error itself if nothing in it holds a value. Otherwise a copy of the same class (the class
 * decides what becomes of a call), with texts and numbers free of values, causes likewise, and
 * without the objects that HTTP clients attach to their errors.
 */
export function redactedError(error: unknown, redact: RedactJson): unknown {
  try {
    return redacted(error, redact, 0);
  } catch {
    return new Error('something was thrown that cannot be read'); // perhaps a getter throws
  }
}

function redacted(error: unknown, redact: RedactJson, depth: number): unknown {
  if (!(error instanceof Error)) {
    if (typeof error === 'object' && error !== null) return new Error(redact(messageOf(error)));
    return redact(error);
  }
  const fields: PropertyDescriptorMap = {};
  let isChanged = false;
  for (const name of new Set([...USUAL, ...Reflect.ownKeys(error)])) {
    const given: unknown = Reflect.get(error, name);
    if (given === undefined || given === null) continue;
    const kept = withoutValues(name, given, redact, depth);
    const key = typeof name === 'string' ? redact(name) : name;
    isChanged ||= kept !== given || key !== name;
    if (kept === undefined) continue;
    const enumerable = Object.prototype.propertyIsEnumerable.call(error, name);
    fields[key] = { value: kept, enumerable, writable: true, configurable: true };
  }
  if (!isChanged) return error;
  return Object.create(Object.getPrototypeOf(error) as object, fields) as unknown;
}

/** Undefined for anything that cannot be checked for values. */
function withoutValues(
  name: string | symbol,
  given: unknown,
  redact: RedactJson,
  depth: number,
): unknown {
  if (name === 'errors' && Array.isArray(given)) {
    if (depth >= MAX_CAUSES) return undefined;
    const parts = given.slice(0, MAX_PARTS).map((part) => redacted(part, redact, depth + 1));
    const isSame = parts.length === given.length && parts.every((part, at) => part === given[at]);
    return isSame ? given : parts;
  }
  if (given instanceof Error)
    return depth < MAX_CAUSES ? redacted(given, redact, depth + 1) : undefined;
  if (typeof given === 'object' || typeof given === 'function') return undefined;
  if (typeof name === 'symbol') return redact(given);
  const [kept] = Object.values(redact({ [name]: given })); // its name may say what it is
  return kept;
}
