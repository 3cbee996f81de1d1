const numbers = new Intl.NumberFormat('en');

/**
 * A text for display: cut where it is longer than that many UTF-16 code units, with its length told.
 *
 * @param {string} text
 * @param {number} maxLength
 */
export function cutText(text, maxLength) {
  if (text.length <= maxLength) return text;
  const kept = text.slice(0, maxLength).replace(/[\ud800-\udbff]$/, ''); // no half of a character
  return `${kept}… (${numbers.format(text.length)} characters)`;
}
