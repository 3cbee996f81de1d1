// What lines of code and of pages have in common.

/** Lines end here. */
export const MAX_COLUMNS = 100;

/** "forevery", "ofthe": a short word that lost the blank after it. */
const GLUED = new RegExp(
  /(?<![\w-])(?:and|are|as|at|by|for|from|if|in|is|of|on|or|than|that|to|when|with)/.source
    + /(?:all|another|any|each|every\w*|its|one|that|the|these|they|this|those|two)(?![\w-])/.source,
  'g',
);

/** Pairs of words that are written as one. */
export function gluedWords(text: string): string[] {
  return [...text.matchAll(GLUED)].map(([word]) => word);
}
