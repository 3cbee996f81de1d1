// What the tests of turns over a store share: an agent whose turns can be held, and its replies.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { TestContext } from 'node:test';

import type { Channel } from '../../../src/base/channel.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import type { TestReply } from '../../../src/kit/test-client.ts';
import {
  Listener, serve, until, type RawConnection, type Served, type TestAgent,
} from '../../fixtures/app.ts';

export interface AskingBack extends Served {
  /** The caller's words in the runs that have begun. */
  readonly runs: readonly string[];
  /** The caller's words in the runs whose signal has fired. */
  readonly aborted: readonly string[];
  /** Lets the turn with these words go on. */
  go(words: string): void;
  /** How often each outcome of a turn was counted. */
  outcomes(): Record<string, number>;
  /** The history, such as `One > One? / hold > hold?*`: `*` if broken off, `…` while it goes on. */
  told(): Promise<string>;
}

/** Serves an agent that asks back, and then waits for `go` if the words begin with "hold". */
export function askingBack(
  t: TestContext,
  store: ConversationStore,
  agent: TestAgent = {},
  channel?: Channel,
  environment: Readonly<Record<string, string>> = {},
): AskingBack {
  const gates = new EventEmitter();
  const runs: string[] = [];
  const aborted: string[] = [];
  const served = serve(t, {
    welcome: 'Welcome.',
    async *onMessage({ text, signal }) {
      runs.push(text);
      signal.addEventListener('abort', () => aborted.push(text));
      yield `${text}?`;
      if (!text.startsWith('hold')) return;
      await once(gates, text, { signal });
      yield ' Done.';
    },
    ...agent,
  }, { store, environment, ...(channel === undefined ? {} : { channel }) });
  return {
    ...served,
    runs,
    aborted,
    go: (words) => gates.emit(words),
    async told() {
      const marks: Readonly<Record<string, string>> = { interrupted: '*', open: '…' };
      const lines = (await served.history()).map(([role, text = '', state = '']) =>
        role === 'user' ? ` / ${text}` : ` > ${text}${marks[state] ?? ''}`);
      return lines.join('').slice(3);
    },
    outcomes() {
      const lines = served.app.metrics.text()
        .matchAll(/^layercode_turns_total\{.*outcome="(\w+)",.*\} ([1-9]\d*)$/gm);
      return Object.fromEntries([...lines].map(([, outcome, count]) => [outcome, Number(count)]));
    },
  };
}

/** What was spoken. Asserts that the stream ended properly. */
export async function spoken(reply: TestReply | Promise<TestReply>): Promise<string> {
  const events = await (await reply).events();
  assert.equal(events.at(-1)?.type, 'response.end');
  assert.equal(events.filter(({ type }) => type === 'response.end').length, 1);
  return events
    .map(({ type, content }) => (type === 'response.tts' ? String(content) : ''))
    .join('');
}

/** The reply of a turn that has said its first piece. */
export class HeldReply {
  readonly #reply: TestReply;
  readonly #listener: Listener;

  constructor(reply: TestReply) {
    this.#reply = reply;
    this.#listener = new Listener(reply);
  }

  /** The next piece of text, or the type of an event that has no text. */
  async next(): Promise<unknown> {
    const event = await this.#listener.next();
    return event?.type === 'response.tts' ? event.content : event?.type;
  }

  async rest(): Promise<unknown[]> {
    const rest: unknown[] = [];
    for (let piece = await this.next(); piece !== undefined; piece = await this.next()) {
      rest.push(piece);
    }
    return rest;
  }

  drop(): void {
    this.#reply.drop();
  }
}

/** Says words that begin with "hold". Resolves when the turn has said its first piece. */
export async function hold(
  { client }: Served,
  words = 'hold',
  turnId: string = words,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<HeldReply> {
  const held = new HeldReply(await client.say(words, { turn_id: turnId, ...fields }));
  assert.equal(await held.next(), `${words}?`);
  return held;
}

/** Cuts the connection. Resolves when the server knows. */
export async function cut(connection: RawConnection, { logLines }: Served): Promise<void> {
  connection.socket.destroy();
  await until(() => logLines.some((line) => line.includes('"isCutShort":true')), 'the drop');
}
