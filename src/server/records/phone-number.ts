/** Whether two texts are the same phone number, however it is written: `+1 (555) 010-0`. */
export function isSameNumber(one: string, other: string | undefined): boolean {
  return other !== undefined && (one === other || plain(one) === plain(other));
}

/**
 * Whether two texts are the same phone number beyond doubt. With and without a `+`, the same digits
 * may be numbers in two countries; with dots or slashes and no `+` they may be an address.
 */
export function isSurelySameNumber(one: string, other: string | undefined): boolean {
  if (other === undefined || !isSameNumber(one, other)) return false;
  const [a, b] = [one, other].map((text) => text.replace(/[\s()-]/g, ''));
  return a === b || (hasPlus(one) && hasPlus(other));
}

function hasPlus(text: string): boolean {
  return text.trimStart().startsWith('+');
}

/** The digits of a number. Any other text, such as a SIP address, is left as it is. */
function plain(text: string): string {
  const digits = WRITTEN.test(text) ? text.replace(/\D/g, '') : '';
  return digits === '' ? text : digits;
}

/** Linear in the length of the text, even if it consists of spaces. */
const WRITTEN = /^\s*(?:[+\d()./-][\d\s()./-]*)?$/;
