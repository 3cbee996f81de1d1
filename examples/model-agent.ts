// An agent that speaks with a model: a prompt and a tool. Needs a key: OPENAI_API_KEY=… AGENT=./examples/model-agent.ts npm start
import { defineAgent, hangUp, tool } from 'layercode-microserver';

const openingHours = tool({
  name: 'opening_hours',
  description: 'When the shop is open on a day of the week.',
  parameters: {
    type: 'object',
    properties: { day: { type: 'string', enum: ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] } },
    required: ['day'],
    additionalProperties: false,
  },
  // What is returned goes to the model, and to the browser as response.data; what is thrown, as an error. Hand `signal` to fetch.
  run: ({ day }) => (day === 'Sunday' ? { closed: true } : { opens: '09:00', closes: '18:00' }),
});

export default defineAgent({
  name: 'shop',
  welcome: 'Hello, this is the corner shop.',
  prompt: 'You answer the phone of a corner shop. One or two short sentences, no lists, no Markdown, numbers as words.',
  tools: [openingHours, hangUp],
});
