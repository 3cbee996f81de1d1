// What the redaction of an event costs: each text is looked at once, and long ones in slices.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import type { CallEvent } from '../../../src/core/calls/call-event.ts';
import { ConversationManager } from '../../../src/core/conversations/manager.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { digitRunSteps } from '../../../src/core/redaction/digit-runs.ts';
import { emailAddresses } from '../../../src/core/redaction/email-addresses.ts';
import type { Finder, FoundValue } from '../../../src/core/redaction/finder.ts';
import { Redaction } from '../../../src/core/redaction/redaction.ts';
import { Turns } from '../../../src/core/turns/turns.ts';
import { AgentValues } from '../../../src/core/turns/values.ts';
import type { LayercodeEvent } from '../../../src/core/wires/layercode/events.ts';
import { callEventOf } from '../../../src/core/wires/layercode/our-events.ts';
import { signPayload } from '../../../src/core/wires/layercode/signature.ts';
import { contentsOf, messageEvent, SECRET, serve, until } from '../../fixtures/app.ts';
import { serveCompletions } from '../../fixtures/completions.ts';
import { IS_LONG } from '../../fixtures/long.ts';
import { processorMs } from '../../fixtures/processor-time.ts';
import { RUN_OPTIONS } from '../../fixtures/turns.ts';

/** A finder that finds nothing, and the texts that it was given. */
function watching(): { readonly finder: Finder; readonly seen: string[] } {
  const seen: string[] = [];
  const find = (text: string): readonly never[] => {
    seen.push(text);
    return [];
  };
  return { finder: { kind: 'x', find }, seen };
}

function twice(seen: readonly string[]): string[] {
  return seen.filter((text, index) => text.length > 20 && seen.indexOf(text) !== index);
}

const LINES = Array.from({ length: 5 }, (_, index) => `${index % 2 === 0 ? 'user' : 'agent'}: `
  + `these are the words of line ${index}`);

describe('each text of an event is searched only once', () => {
  it('by the webhook, including what was heard and the metadata', async (t) => {
    const { finder, seen } = watching();
    const { client } = serve(t, { redact: finder });
    await (await client.post(messageEvent({
      text: 'the words of the caller, at some length',
      metadata: { note: 'a note that a browser has sent along' },
      interruption_context: {
        previous_turn_interrupted: true, assistant_turn_id: 'x',
        text_heard: 'the beginning of what was said to the caller',
      },
    }))).events();
    assert.equal(seen.filter((text) => text.startsWith('the words of the')).length, 1);
    assert.ok(seen.some((text) => text.startsWith('the beginning')));
    assert.deepEqual(twice(seen), []);
  });

  it('over Chat Completions, where each request holds the whole call', async (t) => {
    const { finder, seen } = watching();
    const { platform } = serveCompletions(t, { redact: finder });
    await platform.hear(LINES);
    assert.equal(seen.filter((text) => text.startsWith('these are the words')).length, 5);
    assert.deepEqual(twice(seen), []);
  });

  it('in a reply, too, even if it is read after each round of tool calls', async (t) => {
    const { finder, seen } = watching();
    const { client } = serve(t, {
      redact: finder,
      async *onMessage({ journal }: MessageTurn) {
        yield 'these are the words of the agent before its calls';
        for (const id of ['1', '2', '3']) {
          await journal.noteToolCalls([{ id, name: 'look', args: '{}' }]);
          journal.noteToolResult(id, '{"what":"was found by the tool at last"}');
          void journal.rounds();
        }
        yield ' and after them';
      },
    });
    await (await client.post(messageEvent({ text: 'Hello' }))).events();
    assert.deepEqual(twice(seen).filter((text) => text.startsWith('these')), []);
  });
});

/** The most processor time that anything takes between two rounds of the event loop. */
async function longestMs(work: Promise<unknown>): Promise<number> {
  let [isDone, longest] = [false, 0];
  void work.finally(() => (isDone = true));
  while (!isDone) {
    const since = process.cpuUsage();
    await new Promise((resolve) => setImmediate(resolve));
    longest = Math.max(longest, processorMs(since));
  }
  return longest;
}

function turnsOf(...redact: readonly Finder[]): Turns {
  const onFailure = (error: unknown): void => assert.fail(String(error));
  const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
  const conversations = new ConversationManager(store);
  const redaction = new Redaction({ redact, key: 'k', onFailure });
  return new Turns({
    ...RUN_OPTIONS,
    agent: { name: 'x', onMessage: () => undefined },
    conversations,
    settings: {
      ...RUN_OPTIONS.settings, turnTimeoutSeconds: 10, firstWordTimeoutSeconds: 10,
    },
    values: new AgentValues(redaction, conversations),
    agentWork: undefined,
  });
}

function eventOf(fields: object): CallEvent {
  return callEventOf(messageEvent({ ...fields }) as unknown as LayercodeEvent);
}

/** In npm test, a third of a megabyte. */
const VALUES = IS_LONG ? 50_000 : 16_000;

function listed(make: (index: number) => string): string[] {
  return Array.from({ length: VALUES }, (_, index) => make(index));
}

const MANY_ADDRESSES = listed((index) => `${index}@example.com`).join(', ');

describe('an event of up to a megabyte lets other work run', () => {
  for (const [what, fields] of [
    ['card numbers', { text: listed(() => '4242 4242 4242 4242').join(' ') }],
    ['many addresses', { text: MANY_ADDRESSES }],
    ['metadata with many texts', {
      metadata: { list: listed((index) => `${index} 4242 4242 4242`) },
    }],
  ] as const)
    it(`if it has ${what}`, async () => {
      const event = eventOf(fields);
      let least = Infinity;
      for (let tries = 0; tries < 10 && least >= 50; tries++) {
        const work = turnsOf(cardNumbers, emailAddresses).redacted(event);
        assert.ok(work instanceof Promise);
        least = Math.min(least, await longestMs(work));
      }
      assert.ok(least < 50, `${least} ms`);
    });

  // Once each of the marks beyond those that get numbers had all numbers counted.
  it('during its whole turn', async (t) => {
    const { client } = serve(t, { redact: 'emails' });
    let least = Infinity;
    for (let tries = 0; tries < 10 && least >= 50; tries++) {
      const turn = client.post(messageEvent({ turn_id: `t-${tries}`, text: MANY_ADDRESSES }));
      least = Math.min(least, await longestMs(turn.then((reply) => reply.text())));
    }
    assert.ok(least < 50, `${least} ms`);
  });

  it('such as noticing that its caller leaves', async (t) => {
    let leave = (): void => undefined;
    /** Takes 60 ms for a long text. */
    function* find(text: string): Generator<FoundValue, void, undefined> {
      if (text.length < 60) return;
      leave();
      for (let start = 0; start < 60; start++) {
        for (const endMs = performance.now() + 1; performance.now() < endMs;);
        yield { start, end: start + 1 };
      }
    }
    const { client, raw, metric, history } = serve(t, { redact: { kind: 'x', find } });
    const { socket } = await raw();
    const left = new Promise<void>((resolve) => {
      leave = () => {
        socket.destroy();
        resolve();
      };
    });
    const body = JSON.stringify(messageEvent({ text: 'x'.repeat(60) }));
    socket.write([
      'POST /api/agent HTTP/1.1', 'Host: x', 'Content-Type: application/json',
      `layercode-signature: ${signPayload(body, SECRET)}`, `Content-Length: ${body.length}`,
      '', body,
    ].join('\r\n'));
    await left;
    const next = await client.post(messageEvent({ turn_id: 't-2', text: 'Hello?' }));
    assert.deepEqual(contentsOf(await next.events()), ['Yes.']);
    await until(() => metric('layercode_open_streams') === 0, 'no stream to be open');
    assert.deepEqual((await history('c-1')).slice(-2), [
      ['user', 'Hello?'], ['assistant', 'Yes.', 'completed'],
    ]);
  });

  it('but not later events of its conversation', async () => {
    const turns = turnsOf(cardNumbers);
    const ends: string[] = [];
    const arrives = (name: string, fields: object): unknown => {
      const event = turns.redacted(eventOf(fields));
      if (event instanceof Promise) return event.then(() => ends.push(name));
      return ends.push(name);
    };
    const long = arrives('long', { text: '4 '.repeat(50_000) });
    const next = arrives('next', { text: 'Hello?' });
    void arrives('other', { conversation_id: 'c-2', text: 'Hello?' });
    await Promise.all([long, next]);
    assert.deepEqual(ends, ['other', 'long', 'next']);
  });
});

// One group of a megabyte once took 130 ms in one go.
it('a long group of digits is read in slices', () => {
  const steps = [...digitRunSteps('4'.repeat(1_000_000), 13)];
  assert.equal(steps.findIndex((run) => run !== undefined), 9);
});
