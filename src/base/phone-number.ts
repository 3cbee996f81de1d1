/** Whether two texts are the same phone number, however it is written: `+1 (555) 010-0`. */
export function isSameNumber(one: string, other: string | undefined): boolean {
  return other !== undefined && (one === other || plain(one) === plain(other));
}

/** The digits of a number. Any other text, such as a SIP address, is left as it is. */
function plain(text: string): string {
  const digits = WRITTEN.test(text) ? text.replace(/\D/g, '') : '';
  return digits === '' ? text : digits;
}

const WRITTEN = /^\s*\+?[\d\s()./-]*$/;
