// Words in the form of the conventions: `gen_ai.input.messages` and `gen_ai.output.messages`.

/** One message that was spoken, as JSON text. */
export function spokenMessage(role: 'user' | 'assistant', content: string): string {
  return JSON.stringify([{ role, parts: [{ type: 'text', content }] }]);
}
