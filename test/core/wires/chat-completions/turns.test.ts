// Which turn a request is: a retry, a correction, or the next. And what ends a turn.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { fired, until, within } from '../../../fixtures/app.ts';
import {
  asking, CONVERSATION, rawCompletion, requestLines, serveCompletions, serveEcho, serveHalting,
  type Fields,
} from '../../../fixtures/completions.ts';

const HELLO = asking(['user: Hello?']);
const CALL = `x-conversation-id: ${CONVERSATION}`;

describe('a request whose last message from the caller has no words', () => {
  it('counts as silence, not as the previous words again', async (t) => {
    const { platform, turns } = serveEcho(t);
    await platform.hear(HELLO);
    const said = [{ role: 'user', content: 'Hello?' }, { role: 'user', content: '' }];
    await platform.hear({ ...HELLO, messages: said });
    assert.deepEqual(turns.all.map(({ text }) => text), ['Hello?', '']);
  });
});

describe('what the platform cannot express', () => {
  it('is not noted as done, such as hanging up', async (t) => {
    const { platform, app } = serveCompletions(t, {
      onMessage: (_turn, reply) => {
        reply.data({ look: 'here' });
        reply.hangup({ say: 'Goodbye.' });
      },
    });
    await platform.hear(HELLO);
    const conversation = await app.conversations.read(CONVERSATION);
    assert.equal(conversation?.turns.at(-1)?.sent, undefined); // its words say it all
  });
});

describe('a request that comes again', () => {
  for (const [what, first, again] of [
    ['streamed', true, true], ['whole', false, false],
    ['streamed, after a whole one', false, true], ['whole, after a streamed one', true, false],
  ] as const) {
    const request = (stream: boolean): Fields => ({ ...HELLO, stream });
    const textOf = async (response: Response): Promise<string> => {
      const text = await response.text();
      return [...text.matchAll(/"content":"([^"]*)"/g)].map(([, content]) => content).join('');
    };

    it(`gets the whole reply of the running turn: ${what}`, async (t) => {
      const { platform, turns, open, logLines } = serveHalting(t);
      const older = platform.ask(request(first));
      await turns.next();
      const newer = platform.ask(request(again));
      await (await older).response.text(); // it ends as soon as the other takes over
      open();
      assert.equal(await textOf((await newer).response), 'One. Two.');
      assert.equal(turns.all.length, 1);
      const lines = await requestLines(logLines, 2);
      assert.deepEqual(lines.map(({ outcome }) => outcome), ['taken_over', 'completed']);
    });

    it(`gets the reply of the completed turn: ${what}`, async (t) => {
      const { platform, turns } = serveEcho(t);
      await (await platform.ask(request(first))).response.text();
      const reply = await textOf((await platform.ask(request(again))).response);
      assert.deepEqual([reply, turns.all.length], ['You said Hello?', 1]);
    });
  }

  it('is the same turn if only the platform\'s prompt differs', async (t) => {
    const { platform, turns } = serveEcho(t);
    await platform.hear(['system: It is 12:00.', 'user: Hello?']);
    await platform.hear(['system: It is 12:01.', 'user: Hello?']);
    assert.equal(turns.all.length, 1);
  });

  it('is the same turn if the Idempotency-Key is the same', async (t) => {
    const { platform, turns } = serveEcho(t);
    const headers = { 'idempotency-key': 'k-1' };
    const first = await platform.hear(['user: Hello?'], { headers });
    const again = await platform.hear(['agent: Welcome.', 'user: Hello?'], { headers });
    assert.deepEqual([first, again, turns.all.length], [first, first, 1]);
    assert.equal((await turns.next()).turnId, 'k-1');
  });

  for (const [what, key] of [['control characters', 'k\u0085'], ['8 KB', 'k'.repeat(8_192)]]) {
    it(`is recognised by its words if the Idempotency-Key has ${what}`, async (t) => {
      const { platform, turns } = serveEcho(t);
      const headers = { 'idempotency-key': key ?? '' };
      for (const _ of [1, 2]) await platform.hear(HELLO, { headers });
      assert.equal(turns.all.length, 1);
      assert.match((await turns.next()).turnId, /^[0-9a-f]{32}$/);
    });
  }

  it('has the Idempotency-Key in its ids, whatever its characters', async (t) => {
    const { platform } = serveCompletions(t, {});
    const key = 'k"\\\u00fc';
    const answer = await platform.ask(HELLO, { headers: { 'idempotency-key': key } });
    assert.equal((await answer.next())?.id, `chatcmpl-${key}`);
  });

  it('is not confused with a new one that repeats the words, even beyond 50 lines', async (t) => {
    const { platform, turns } = serveEcho(t);
    const lines: string[] = [];
    for (let round = 1; round <= 30; round++) {
      lines.push('user: Yes.');
      assert.equal(await platform.hear(lines), 'You said Yes.');
      assert.equal(turns.all.length, round);
      lines.push('agent: You said Yes.');
    }
  });

  it('is marked in the log and in the metrics', async (t) => {
    const { platform, logLines, metric } = serveCompletions(t, {});
    for (const _ of [1, 2]) await platform.hear(HELLO);
    const lines = await requestLines(logLines, 2);
    assert.deepEqual(lines.map(({ outcome }) => outcome), ['completed', 'replayed']);
    const labels = 'event="chat.completion",outcome="replayed",wire="chat-completions"';
    assert.equal(metric(`layercode_turns_total{${labels}}`), 1);
  });
});

describe('a connection that is dropped', () => {
  for (const stream of [true, false]) {
    it(`interrupts a turn whose reply is ${stream ? 'streamed' : 'whole'}`, async (t) => {
      const { platform, interrupted, turns, history } = serveHalting(t);
      const controller = new AbortController();
      const answer = platform.ask({ ...HELLO, stream }, { signal: controller.signal })
        .then(({ response }) => response.text());
      const failed = assert.rejects(answer);
      const { signal, turnId } = await turns.next();
      controller.abort();
      await within(fired(signal), 'the signal');
      assert.equal((await interrupted.next()).turnId, turnId);
      await failed;
      if (!stream) assert.deepEqual(await history(CONVERSATION), [['user', 'Hello?']]); // unheard
    });
  }

  it('loses a whole reply that nobody has read', async (t) => {
    const long = '\u0001'.repeat(1_000_000); // six bytes each in JSON
    const { raw, metric, interrupted, history } = serveCompletions(t, { onMessage: () => long });
    const connection = await raw();
    connection.stopReading();
    connection.write(rawCompletion({ ...HELLO, stream: false }, [CALL]));
    await until(() => metric('layercode_running_turns') === 0
      && metric('layercode_open_streams') === 1, 'a reply that has no room');
    connection.socket.destroy();
    await within(interrupted.next(), 'the interruption');
    assert.deepEqual(await history(CONVERSATION), [['user', 'Hello?']]);
  });

  it('loses a whole reply if it is reset while the reply is being made', async (t) => {
    let socket: Socket | undefined;
    const { raw, interrupted, history } = serveCompletions(t, {
      onMessage: () => (socket?.resetAndDestroy(), 'Yes.'),
    });
    const connection = await raw();
    ({ socket } = connection);
    connection.write(rawCompletion({ ...HELLO, stream: false }, [CALL]));
    await within(interrupted.next(), 'the interruption');
    assert.deepEqual(await history(CONVERSATION), [['user', 'Hello?']]);
  });
});

describe('a newer request in the same conversation', () => {
  it('ends a running whole reply with what was said so far, marked as cut short', async (t) => {
    const { platform, turns, open, history } = serveHalting(t);
    const older = platform.ask({ ...HELLO, stream: false });
    await turns.next();
    const newer = await platform.ask(['user: Hello?', 'agent: One.', 'user: Stop.']);
    const { choices: [choice] } = await (await older).whole();
    assert.deepEqual([choice?.message.content, choice?.finish_reason], ['One.', 'length']);
    open();
    assert.equal(await newer.text(), 'One. Two.');
    assert.deepEqual(await history(CONVERSATION), [
      ['user', 'Hello?'], ['assistant', 'One.', 'interrupted'],
      ['user', 'Stop.'], ['assistant', 'One. Two.', 'completed'],
    ]);
  });
});
