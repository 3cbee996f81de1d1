import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { fired, Listener, serve, Told, type Served, type TestAgent } from '../fixtures/app.ts';

/** An agent that answers "hold" with its pieces, and then waits until it is interrupted. */
export function holding(
  t: TestContext,
  pieces: readonly string[] = ['It rains ', 'in Spain.'],
  agent: TestAgent = {},
): Served & { begun: Told<AbortSignal> } {
  const begun = new Told<AbortSignal>();
  return {
    begun,
    ...serve(t, {
      async *onMessage({ text, signal }) {
        begun.tell(signal);
        if (text === 'hold') {
          yield* pieces;
          await fired(signal);
        } else yield `${text}!`;
      },
      ...agent,
    }),
  };
}

/** Sends "hold", and reads up to the last piece. */
export async function hold(
  { client }: Served,
  fields: Readonly<Record<string, unknown>> = {},
  last = 'in Spain.',
): Promise<{ drop: () => void; listener: Listener }> {
  const reply = await client.say('hold', fields);
  const listener = new Listener(reply);
  for (let event = await listener.next(); event?.content !== last; event = await listener.next())
    assert.ok(event, `the stream ended before ${last}`);
  return { drop: () => reply.drop(), listener };
}

export async function dropHeld(
  served: Served,
  fields?: Readonly<Record<string, unknown>>,
): Promise<void> {
  (await hold(served, fields)).drop();
  await served.interrupted.next();
}

export function heard(
  text_heard: string | undefined,
  fields: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    interruption_context: {
      previous_turn_interrupted: true,
      words_heard: 0,
      text_heard,
      ...fields,
    },
  };
}
