// An agent whose turns can be held, over sockets.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import {
  fired, Listener, serve, Told, type ServeOptions, type Served, type TestAgent,
} from '../../fixtures/app.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface Holding extends Served {
  /** The signals of the turns that have begun. */
  readonly begun: Told<AbortSignal>;
  /** Says the words in a turn, and resolves with the reply. */
  says(words: string, fields?: Fields): Promise<string>;
}

/** An agent that answers "hold" with its pieces, and then waits until it is interrupted. */
export function holding(
  t: TestContext,
  agent: TestAgent = {},
  { pieces = ['It rains ', 'in Spain.'], ...options }: ServeOptions & {
    readonly pieces?: readonly string[];
  } = {},
): Holding {
  const begun = new Told<AbortSignal>();
  const served = serve(t, {
    async *onMessage({ text, signal }) {
      begun.tell(signal);
      if (text === 'hold') {
        yield* pieces;
        await fired(signal);
      } else yield `${text}!`;
    },
    ...agent,
  }, options);
  return {
    ...served,
    begun,
    says: async (words, fields = {}) => (await served.client.say(words, fields)).text(),
  };
}

/** Sends "hold", and reads up to the last piece. */
export async function hold(
  { client }: Served, fields: Fields = {},
): Promise<{ drop: () => void; listener: Listener }> {
  const reply = await client.say('hold', fields);
  const listener = new Listener(reply);
  for (let event = await listener.next(); event?.content !== 'in Spain.';)
    assert.ok((event = await listener.next()), 'the stream has ended');
  return { drop: () => reply.drop(), listener };
}

export async function dropHeld(served: Served, fields?: Fields): Promise<void> {
  (await hold(served, fields)).drop();
  await served.interrupted.next();
}

/** The platform's report on the turn before. */
export function heard(text_heard: string | undefined, fields: Fields = {}): Fields {
  const report = { previous_turn_interrupted: true, words_heard: 0, text_heard, ...fields };
  return { interruption_context: report };
}
