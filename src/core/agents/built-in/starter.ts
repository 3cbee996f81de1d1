import { hangUp } from '../../tools/tool-hang-up.ts';
import type { Agent } from '../agent.ts';
import { defineAgent } from '../define-agent.ts';
import { readPrompt } from './assets.ts';

/** A concise general assistant, the default if there is an API key and no agent was chosen. */
export function createStarter(): Agent {
  return defineAgent({
    name: 'starter',
    description: 'A concise general assistant.',
    welcome: 'Hi there! How can I help you today?',
    prompt: readPrompt('starter'),
    tools: [hangUp],
  });
}
