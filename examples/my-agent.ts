// An agent of your own. AGENT=./examples/my-agent.ts npm start (Node 22.18 or later), or npx tsx.
import { defineAgent } from 'layercode-microserver';

export default defineAgent({
  name: 'counter',
  welcome: 'Hello! Give me a number.',
  async *onMessage({ text, signal }) {
    const last = Math.min(Number(text.match(/\d+/)?.[0] ?? 3), 20);
    for (let n = 1; n <= last && !signal.aborted; n++) yield `${n}${n < last ? ', ' : '.'}`;
  },
});
