// An agent that speaks with a model: a prompt and a tool. It needs a key:
// OPENAI_API_KEY=… AGENT=./examples/model-agent.ts npm start
import { defineAgent, hangUp, tool } from 'layercode-microserver';

const days = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

const openingHours = tool({
  name: 'opening_hours',
  repeatable: true, // only reads
  description: 'When the shop is open on a day of the week.',
  parameters: {
    type: 'object',
    properties: { day: { type: 'string', enum: days } },
    required: ['day'],
    additionalProperties: false,
  },
  // The model gets the returned value, or the error if this throws. There is a second argument:
  // pass its `signal` to fetch.
  run: ({ day }) => (day === 'Sunday' ? { closed: true } : { opens: '09:00', closes: '18:00' }),
});

export default defineAgent({
  name: 'shop',
  welcome: 'Hello, this is the corner shop.',
  prompt:
    'You answer the phone of a corner shop. One or two short sentences, no lists, no Markdown, '
    + 'numbers as words.',
  tools: [openingHours, hangUp],
});
