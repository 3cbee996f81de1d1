import { steadyFinder, type FindingSteps } from './finder.ts';
import { spokenAddressesIn } from './spoken-addresses.ts';

const AT = 0x40;

/**
 * Finds e-mail addresses: written, `name@example.com`, typed with blanks, or spoken, `name at
 * example dot com`. Two addresses that differ only in case are equal.
 */
export const emailAddresses = steadyFinder('email', addressesIn);

function* addressesIn(text: string): FindingSteps {
  yield* writtenAddressesIn(text);
  yield* spokenAddressesIn(text);
}

function* writtenAddressesIn(text: string): FindingSteps {
  /** What comes before this is part of an address, or has been examined. */
  let from = 0;
  for (let at = text.indexOf('@'); at !== -1; at = text.indexOf('@', at + 1)) {
    yield;
    let start = at;
    while (start > from && isInName(text.charCodeAt(start - 1))) start -= 1;
    while (start < at && !mayBegin(text.charCodeAt(start))) start += 1;
    let end = at + 1;
    while (end < text.length && isInDomain(text.charCodeAt(end))) end += 1;
    from = text.charCodeAt(end) === AT ? at + 1 : end;
    // A full stop after the address belongs to the sentence.
    while (end > at + 1 && !isAlphanumeric(text.charCodeAt(end - 1))) end -= 1;
    if (start === at || !isDomain(text.slice(at + 1, end))) continue;
    yield { start, end, value: text.slice(start, end).toLowerCase() };
  }
}

/** Names separated by points. The last one must not consist of digits alone. */
function isDomain(domain: string): boolean {
  const last = domain.slice(domain.lastIndexOf('.') + 1);
  return domain.includes('.') && isAlphanumeric(domain.charCodeAt(0)) && /[^\d-]./.test(last);
}

/** What may come before the `@`, except for signs that hardly anyone uses. */
function isInName(code: number): boolean {
  return isInDomain(code) || IN_NAME.has(code);
}

const IN_NAME: ReadonlySet<number> = new Set(
  [..."_%+'"].map((sign) => sign.charCodeAt(0)),
);

function mayBegin(code: number): boolean {
  return isAlphanumeric(code) || code === 0x5f; // _
}

function isInDomain(code: number): boolean {
  return isAlphanumeric(code) || code === 0x2d || code === 0x2e; // - .
}

/** Letters and digits of all scripts, roughly: not the signs and spaces between them. */
function isAlphanumeric(code: number): boolean {
  if (code < 0x80) {
    return (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a)
      || (code >= 0x61 && code <= 0x7a);
  }
  return code >= 0xc0 && !(code >= 0x2000 && code <= 0x206f) && !(code >= 0x3000 && code <= 0x303f)
    && code < 0xfe00;
}
