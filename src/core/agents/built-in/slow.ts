import { setTimeout as delay } from 'node:timers/promises';

import { defineAgent } from '../define-agent.ts';

const PARTS = [
  'Let me look into that.',
  ' I am half way through.',
  ' Here we are, that took ten seconds.',
];
const PAUSE_MS = 5_000;

/**
 * Speaks three parts over ten seconds and sends progress to the browser. For testing waits and
 * interruptions.
 */
export const slow = defineAgent({
  name: 'slow',
  description:
    'Speaks in three parts over ten seconds, with progress data. For testing waits and interruptions.',
  welcome: 'Hello! I take my time.',
  async *onMessage({ signal }, reply) {
    for (const [index, part] of PARTS.entries()) {
      if (index > 0) await delay(PAUSE_MS, undefined, { signal });
      reply.data({
        status: index < PARTS.length - 1 ? 'working' : 'done',
        progress: Math.round((index / (PARTS.length - 1)) * 100),
      });
      yield part;
    }
  },
});
