import { defineAgent } from './define-agent.ts';

/** Says back what it hears: for a first try without a model, and for measuring the server alone. */
export const echo = defineAgent({
  name: 'echo',
  description: 'Repeats what the caller says. Needs no model.',
  welcome: 'Hello! Say something, and I will repeat it.',
  onMessage: ({ text }, reply) => {
    reply.say(`You said: ${text}`);
  },
});
