import type { JsonObject } from '../../../src/base/json.ts';
import type { Schema } from '../../../src/base/schema/schema.ts';
import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import {
  tool, type Tool, type ToolContext, type ToolDefinition,
} from '../../../src/core/tools/tool.ts';
import { calls } from './model-app.ts';

export const APOLOGY = 'Sorry, something went wrong. Could you say that again?';
export const INTERRUPTED = '{"error":"interrupted"}';

export const CITY: Schema = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};

export function weather(run: (args: JsonObject, occasion: ToolContext) => unknown): Tool {
  return tool({
    name: 'weather',
    description: 'The weather of a city.',
    parameters: CITY,
    tellBrowser: 'everything',
    run,
  });
}

/** A tool that takes anything. */
export function looking(fields: Partial<ToolDefinition<Schema>> = {}): Tool {
  return tool({
    name: 'look',
    description: 'Looks.',
    parameters: { type: 'object' },
    run: () => 'seen',
    ...fields,
  });
}

export function agentWith(...tools: readonly Tool[]): Agent {
  return defineAgent({ name: 'forecaster', prompt: 'Be brief.', tools });
}

export const sunny = agentWith(weather(({ city }) => ({ city: city ?? '', sky: 'clear' })));

export const asksParis = calls([['call_1', 'weather', '{"city":"Paris"}']]);
