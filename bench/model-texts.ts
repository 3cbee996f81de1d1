/** Splits replies like a tokenizer: mostly a word with the blank before it. */
function tokens(text: string): string[] {
  return text.match(/\s*(?:[\p{L}\p{N}]{1,8}|[^\p{L}\p{N}\s]+|\s)/gu) ?? [];
}

export const PROSE = tokens(
  `The old town is the place to begin. There's a small square with two cafes, and the church on its north side is open until six. From
 there it's a ten minute walk up to the castle, which costs twelve dollars and fifty cents; if you'd rather stay down, the market hall
 has good bread and cheese. Would you like to hear about the museum, or shall I look for a place to eat? `.replaceAll(
    '\n',
    '',
  ),
);

export const MARKDOWN = tokens(
  `## What to see\n\n- **Old town**: the *square*, and the [church](https://www.example.com/church) \u{1F600}\n- The \`castle\` (https://castle.example/tickets)\n\n| Day | Hours |\n| --- | --- |\n| Monday | 9 to 5 |\n\nEnjoy! \u{1F389}\n\n`,
);
