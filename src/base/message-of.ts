/**
 * What a thrown value says. JavaScript can throw anything: objects without a prototype, which
 * cannot become text, and errors whose message is not a text.
 */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'something without a text was thrown';
  }
}
