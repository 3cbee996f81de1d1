// What the agent of a deploy test says. Its module and its callers know the same words.

export const WELCOME = 'Hello there.';

/** The time between two words, unless the variable WORD_MS names another. */
const WORD_MS = 45;

export function replyTo(words: string): string {
  return `You said ${words} and I heard all of it.`;
}

export function isToolTurn(words: string): boolean {
  return words.startsWith('count');
}

/** The agent as a module for a server's process. Its tool adds its key to the file, as a line. */
export function agentModule(library: string, effects: string): string {
  return `
import { defineAgent } from ${JSON.stringify(library)};
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export default defineAgent({
  name: 'deploy-test',
  welcome: ${JSON.stringify(WELCOME)},
  async *onMessage({ text, signal, journal }) {
    if ((${isToolTurn.toString()})(text)) {
      const call = { id: 'call', name: 'count', args: JSON.stringify({ text }) };
      await journal.runTools([call], () => ({
        whenInterrupted: 'finish',
        async run({ idempotencyKey }) {
          appendFileSync(${JSON.stringify(effects)}, text + ' ' + idempotencyKey + '\\n');
          await sleep(30);
          return '{"counted":true}';
        },
      }));
    }
    const reply = (${replyTo.toString()})(text);
    for (const word of reply.match(/\\S+ ?/g)) {
      yield word;
      await sleep(Number(process.env.WORD_MS ?? ${WORD_MS}), undefined, { signal });
    }
  },
});
`;
}
