import { replaceVarying, type VaryingKind } from './varying-values.ts';

/**
 * Replaces ids, numbers of six or more digits and e-mail addresses with invented ones of the same
 * form, so that a file can be committed. The same value gets the same replacement. Times stay.
 */
export function valueInventor(): (text: string) => string {
  const replacements = new Map<string, string>();
  const counts = { id: 0, number: 0, email: 0 };
  return (text) => replaceVarying(text, (value, kind) => {
    if (kind === 'time') return value;
    const invented = replacements.get(value) ?? INVENTORS[kind](value, (counts[kind] += 1));
    replacements.set(value, invented);
    return invented;
  });
}

const INVENTORS = {
  id: inventId,
  number: inventNumber,
  email: (_email, count) => `person${count}@example.com`,
} satisfies Record<Exclude<VaryingKind, 'time'>, (value: string, count: number) => string>;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Beginnings like `cus_` say what the id identifies. */
const PREFIX = /^([A-Za-z]+[_-])?(.+)$/s;

function inventId(id: string, count: number): string {
  if (UUID.test(id)) return `00000000-0000-4000-8000-${String(count).padStart(12, '0')}`;
  const [, prefix = 'id_', rest = ''] = PREFIX.exec(id) ?? [];
  // Long enough to be recognised as an id again.
  const length = Math.max(6, rest.length, 16 - prefix.length);
  return `${prefix}${String(count).padStart(length, '0')}`;
}

/** Keeps signs and blanks, and a leading zero. +1 555 is where invented numbers live. */
function inventNumber(number: string, count: number): string {
  const digits = number.replace(/\D/g, '').length;
  const zero = number.startsWith('0') ? '0' : '';
  const first = (number.startsWith('+') ? '1555' : '555').padEnd(digits - zero.length, '0');
  const invented = zero + String(BigInt(first) + BigInt(count));
  let index = 0;
  return number.replace(/\d/g, () => invented[index++] ?? '0');
}
