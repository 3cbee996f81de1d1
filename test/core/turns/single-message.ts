// A single message to an agent: what is heard of the reply, and what history keeps of it.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { DEFAULT_APOLOGY } from '../../../src/core/agents/phrases.ts';
import type { TestEvent } from '../../../src/kit/test-client.ts';
import { serve, within, type Served, type TestAgent } from '../../fixtures/app.ts';

export type OnMessage = Agent['onMessage'];
export const APOLOGY = DEFAULT_APOLOGY;

/** A title, what the agent does, and what is then heard: see `heardIn`. */
export type Case = readonly [what: string, onMessage: OnMessage, heard: string];

export function fails(error: unknown = new Error('x')): never {
  throw error;
}

/**
 * The pieces of a reply with `|` between them. What is not spoken is in angle brackets, except the
 * end, which must come last.
 */
export function heardIn(events: readonly TestEvent[]): string {
  assert.equal(events.at(-1)?.type, 'response.end');
  return events.slice(0, -1).map(({ type, content }) => {
    if (type === 'response.tts') return content;
    const value = content === undefined ? '' : ` ${JSON.stringify(content)}`;
    return `<${type.slice('response.'.length)}${value}>`;
  }).join('|');
}

/** Asks the agent. Everything that was spoken must be in history, with that state. */
export async function hears(
  t: TestContext,
  agent: OnMessage | TestAgent,
  heard: string,
  state: 'completed' | 'failed' = 'completed',
  environment: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const hooks = typeof agent === 'function' ? { onMessage: agent } : agent;
  const served = serve(t, hooks, { environment });
  const events = await within((await served.client.say('Hello?')).events(), 'the end of the reply');
  assert.equal(heardIn(events), heard);
  const text = heard.replaceAll(/<[^>]*>|\|/g, '');
  const reply = text === '' ? [] : [['assistant', text, state]];
  assert.deepEqual(await served.history(), [['user', 'Hello?'], ...reply]);
  assert.equal(served.app.runningTurns, 0);
  return served;
}
