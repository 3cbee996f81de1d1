import type { BoundAgent } from '../agent.ts';
import { WELCOME_BACK } from '../phrases.ts';

/** Repeats what it hears. For a first try without a model, and for measuring the server alone. */
export const echo: BoundAgent = {
  name: 'echo',
  description: 'Repeats what the caller says. Needs no model.',
  tools: [],
  onSessionStart: ({ isResumed }) =>
    isResumed ? WELCOME_BACK : 'Hello! Say something, and I will repeat it.',
  onMessage: ({ text }, reply) => {
    reply.say(`You said: ${text}`);
  },
};
