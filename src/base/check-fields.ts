import { isPlain } from './json-value.ts';
import { nearestName } from './nearest-name.ts';

/**
 * The names of fields, in a form that lets the compiler find forgotten ones. `internal` ones are
 * accepted, but not offered: no user needs them.
 */
export type FieldNames<T> = Readonly<Record<keyof T, true | 'internal'>>;

/**
 * Throws a `TypeError` unless `given` is an object whose fields are all known: a misspelt option
 * would be ignored silently. The error names the field that was probably meant. Instances of a
 * class may have any fields.
 */
export function checkFields(place: string, given: unknown, known: object): void {
  if (typeof given !== 'object' || given === null) {
    const kind = given === null ? 'null' : typeof given;
    throw new TypeError(`${place} must be an object, got ${kind}`);
  }
  if (!isPlain(given)) return;
  const wrong = Object.keys(given).find((field) => !Object.hasOwn(known, field));
  if (wrong === undefined) return;
  const names = Object.entries(known).flatMap(([name, kind]) =>
    kind === 'internal' ? [] : [name]);
  const meant = nearestName(wrong, names, wrong.length / 3);
  const remedy =
    meant === undefined ? `known fields: ${names.join(', ')}` : `did you mean "${meant}"?`;
  throw new TypeError(`${place}: unknown field "${wrong}"; ${remedy}`);
}
