// What a single message to an agent brings.

import type { Agent } from '../../src/agents/agent.ts';
import { DEFAULT_APOLOGY } from '../../src/agents/phrases.ts';
import { serve, within } from '../fixtures/app.ts';

export type OnMessage = Agent['onMessage'];

export const APOLOGY = [
  ['response.tts', DEFAULT_APOLOGY],
  ['response.end', undefined],
] as const;

/** Type and content of each event in the answer to a single message. */
export async function answersTo(
  t: Parameters<typeof serve>[0],
  onMessage: OnMessage,
  environment = {},
): Promise<(readonly unknown[])[]> {
  const { client } = serve(t, { onMessage }, { environment });
  const events = await within((await client.say('Hello?')).events(), 'the end of the stream');
  return events.map(({ type, content }) => [type, content]);
}

/** The history that a single message leaves. */
export async function historyAfter(
  t: Parameters<typeof serve>[0],
  onMessage: OnMessage,
  environment = {},
): Promise<(readonly string[])[]> {
  const { client, history } = serve(t, { onMessage }, { environment });
  await within((await client.say('Hello?')).events(), 'the end of the stream');
  return history();
}
