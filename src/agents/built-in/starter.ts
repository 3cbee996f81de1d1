import type { Agent } from '../agent.ts';
import { readPrompt } from './assets.ts';
import { defineAgent } from '../define-agent.ts';
import { hangUp } from '../tool.ts';

/** A concise general assistant: what runs when there is a key and nothing was chosen. */
export function createStarter(): Agent {
  return defineAgent({
    name: 'starter',
    description: 'A concise general assistant.',
    welcome: 'Hi there! How can I help you today?',
    prompt: readPrompt('starter'),
    tools: [hangUp],
  });
}
