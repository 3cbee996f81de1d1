// A caller, the server and a model's server, over real sockets.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import {
  empty, overloaded, pausing, refuses, says, silentAfter, stream, type ModelServer,
} from '../../faults/model-server.ts';
import { chunk, DONE, textReply } from '../../faults/wire-shapes.ts';
import { contentsOf, deferred, errorsIn, Listener, until, within } from '../../fixtures/app.ts';
import {
  callOver, eventsOf, KEY, modelServer, outline, serveAgent, serveModel, spoken,
  type ModelApp,
} from '../agents/model-app.ts';
import { heard } from './held-turns.ts';
import { APOLOGY, heardIn } from './single-message.ts';

const plain = defineAgent({ name: 'plain', prompt: 'Be brief.' });
const welcoming = defineAgent({ name: 'plain', prompt: 'Be brief.', welcome: 'Hello!' });
const BOTH = { DEFAULT_MODEL: 'openai:gpt-6-luna,groq:fall-back' };

interface Readiness {
  readonly ready: boolean;
  readonly model?: string;
  readonly warnings?: readonly string[];
  readonly reasons?: readonly string[];
}

async function readinessOf({ get }: ModelApp): Promise<readonly [status: number, Readiness]> {
  const answer = await get('/ready');
  return [answer.status, (await answer.json()) as Readiness];
}

/** The log lines with this value in that field. */
function linesOf({ logLines }: ModelApp, field: string, value: string): Record<string, unknown>[] {
  return logLines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line[field] === value);
}

async function wasCut(server: ModelServer): Promise<void> {
  const { wasCut: cut } = await within(server.request(0), 'the request to the model');
  assert.equal(await within(cut, 'the connection to the model to close'), true);
}

describe("a model's reply", () => {
  it('is sent token by token: the first arrives before the model sends the second', async (t) => {
    const gate = deferred();
    const rest = [chunk({ content: 'rains.' }), chunk({}, 'stop'), DONE];
    const { client } = await serveModel(t, plain, [
      pausing(textReply('It ').slice(0, 2), gate.promise, rest),
    ]);
    const listener = new Listener(await client.say('Rain?', { turn_id: 't-1' }));
    const first = { type: 'response.tts', content: 'It', turn_id: 't-1' };
    assert.deepEqual(await listener.next(), first);
    gate.resolve();
    assert.equal(heardIn(await listener.rest()), ' rains.');
  });

  it('keeps Markdown and emoji if speakable is false', async (t) => {
    const texts = ['# Men', 'u\n- **Coffee** \u{1F600}'];
    const raw = defineAgent({ name: 'raw', prompt: 'Be brief.', speakable: false });
    const { client } = await serveModel(t, raw, [says(...texts)]);
    assert.deepEqual(contentsOf(await eventsOf(client.say('Menu?'))), texts);
  });

  it('is stored and sent back to the model as it was spoken', async (t) => {
    const { client, server } = await serveModel(t, welcoming, [says('**Yes**, it', ' rains.')]);
    await spoken(client.start());
    await spoken(client.say('Rain?'));
    await spoken(client.say('Really?'));
    assert.deepEqual(outline(server.requests[1]), [
      ['assistant', 'Hello!'], ['user', 'Rain?'],
      ['assistant', 'Yes, it rains.'], ['user', 'Really?'],
    ]);
  });
});

describe('a caller who leaves in mid-reply', () => {
  // Leaving before the headers and the first token:
  // test/core/models/chat-completions-streams.test.ts.
  it('closes the connection to the model within 200 ms', async (t) => {
    let bestMs = Infinity; // of five tries: a busy machine may be late
    for (let tries = 0; tries < 5 && bestMs >= 200; tries++) {
      const served = await serveModel(t, plain, [silentAfter(chunk({ content: 'It rains' }))]);
      const caller = await callOver(served);
      await caller.read((text) => text.includes('It'));
      const leftMs = performance.now();
      caller.socket.destroy();
      await wasCut(served.server);
      bestMs = Math.min(bestMs, performance.now() - leftMs);
      assert.equal(served.app.runningTurns, 0);
    }
    assert.ok(bestMs < 200, `${bestMs} ms`);
  });

  for (const [what, report, shown] of [
    ['what was heard, and that there was more', heard('It rains'), /^It rains \[interrupted\]$/],
    ['what was sent if nobody knows what was heard', {}, /^It rains, mainly\.? \[interrupted\]$/],
  ] as const)
    it(`causes no error, and the model learns ${what}`, async (t) => {
      const answer = silentAfter(chunk({ content: 'It rains, ' }), chunk({ content: 'mainly.' }));
      const { client, server, logLines } = await serveModel(
        t, plain, [answer, says('Yes.')], { DEFAULT_MODEL: 'openai:a,openai:b' },
      );
      const reply = await client.say('Rain?', { turn_id: 't-1' });
      const listener = new Listener(reply);
      while (!String((await listener.next())?.content).includes('mainly'));
      reply.drop();
      await wasCut(server);
      assert.equal(await spoken(client.say('Stop.', report)), 'Yes.');
      const [rain, part, stop, ...more] = outline(server.requests[1]);
      assert.deepEqual([rain, stop, more], [['user', 'Rain?'], ['user', 'Stop.'], []]);
      assert.match(String(part?.[1]), shown);
      assert.deepEqual([server.requests.length, errorsIn(logLines)], [2, []]);
    });
});

describe('a model that fails', () => {
  for (const [what, answer] of [
    ['sends an empty reply', empty], ['sends only white space', says(' ', '\n')],
    ['refuses the key', refuses], ['sends only broken JSON', stream('data: {"choices\n\n')],
  ] as const)
    it(`is apologised for when it ${what}`, async (t) => {
      const { client, logLines } = await serveModel(t, plain, [answer]);
      assert.equal(heardIn(await eventsOf(client.say('Rain?'))), APOLOGY);
      assert.deepEqual(errorsIn(logLines), ['turn failed']);
    });
});

describe('a server with a list of models', () => {
  it('names a refused key in /ready and the log, but never shows its value', async (t) => {
    const [openai, groq] = [await modelServer(t, refuses), await modelServer(t, says('Yes.'))];
    const served = serveAgent(t, plain, { openai, groq }, BOTH);
    await spoken(served.client.say('Rain?'));
    const [status, { ready, model, warnings = [] }] = await readinessOf(served);
    assert.deepEqual([status, ready, model], [200, true, BOTH.DEFAULT_MODEL]);
    assert.match(warnings.join(), /^openai:gpt-6-luna refused the key in OPENAI_API_KEY[^,]*$/);
    assert.match(served.logLines.join(''), /refused the key in OPENAI_API_KEY/);
    for (const shown of [...warnings, ...served.logLines])
      assert.equal(shown.includes(KEY) || shown.includes(KEY.slice(-8)), false);
  });

  it('logs retries and fallbacks with the ids of request, conversation and turn', async (t) => {
    const openai = await modelServer(t, overloaded, refuses);
    const groq = await modelServer(t, says('Yes.'));
    const served = serveAgent(t, plain, { openai, groq }, BOTH);
    await spoken(served.client.say('Rain?', { turn_id: 't-1' }));
    const [{ requestId, conversationId } = {}] = linesOf(served, 'msg', 'request');
    assert.ok(requestId !== undefined && conversationId !== undefined);
    const problems = linesOf(served, 'msg', 'model');
    const ends = ['asking again', '(HTTP 401)', 'asking groq:fall-back'];
    assert.equal(problems.length, ends.length);
    for (const [index, end] of ends.entries()) {
      const { level, problem, ...ids } = problems[index] ?? {};
      assert.ok(String(problem).endsWith(end), String(problem));
      const found = [level, ids['requestId'], ids['conversationId'], ids['turnId']];
      assert.deepEqual(found, ['warn', requestId, conversationId, 't-1']);
    }
  });
});

describe('the usage of a turn', () => {
  it("is in the turn's line of the access log", async (t) => {
    const served = await serveModel(t, plain, [says('Yes.')]);
    await spoken(served.client.say('Rain?'));
    await until(() => linesOf(served, 'event', 'message').length > 0, 'the line of the turn');
    const [{ model, modelRequests, inputTokens, outputTokens, outcome, firstTokenMs } = {}] =
      linesOf(served, 'event', 'message');
    assert.deepEqual(
      [model, modelRequests, inputTokens, outputTokens, outcome, typeof firstTokenMs],
      ['openai:gpt-6-luna', 1, 19, 10, 'completed', 'number'],
    );
  });
});

describe("a call's start", () => {
  it('opens the connection to the model during the welcome, for the first turn', async (t) => {
    const { client, server, get } = await serveModel(t, welcoming, [says('Yes.')]);
    assert.equal(await spoken(client.start()), 'Hello!');
    await until(() => server.warmUps === 1, 'the connection to be opened');
    assert.equal(server.requests.length, 0);
    // by then fetch has read the answer to the warm-up, and keeps the connection
    await (await get('/health')).text();
    await spoken(client.say('Rain?'));
    assert.deepEqual([server.requests.length, server.connectionsSeen], [1, 1]);
  });
});
