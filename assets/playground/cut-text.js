const numbers = new Intl.NumberFormat('en');

/**
 * Cuts a text that is longer than `maxLength` UTF-16 code units, and adds its length.
 *
 * @param {string} text
 * @param {number} maxLength
 */
export function cutText(text, maxLength) {
  if (text.length <= maxLength) return text;
  const kept = text.slice(0, maxLength).replace(/[\ud800-\udbff]$/, ''); // never half a character
  return `${kept}… (${numbers.format(text.length)} characters)`;
}
