// The server's side of bench:model: a model, three tools, and the filter for what cannot be spoken.
import { defineAgent, tool } from '../dist/index.js';
import { PROMPT, TOOLS } from './peers/model-turn.mjs';

export default defineAgent({
  name: 'model',
  prompt: PROMPT,
  tools: TOOLS.map(({ name, description }) =>
    tool({
      name,
      description,
      parameters: {
        type: 'object',
        properties: { query: { type: 'string' } },
        required: ['query'],
      },
      run: () => null,
    }),
  ),
});
