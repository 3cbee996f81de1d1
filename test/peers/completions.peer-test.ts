// Replies over Chat Completions, read by the clients that platforms are built on. Needs `npm ci` in
// this folder.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { createApp, createLogger, defineAgent, parseSettings } from 'layercode-microserver';

import { fired, Told, within } from '../fixtures/app.ts';
import {
  listModels, livekitProblem, prewarmLivekit, readers, readFirstPiece, Refused, type Question,
} from './completion-readers.ts';

const KEY = 'sk-peers-0123456789';
const APOLOGY = 'Sorry, something went wrong. Could you say that again?';
const USAGE = {
  type: 'usage', model: 'm', inputTokens: 9, outputTokens: 3, firstDeltaMs: 1,
} as const;

const interrupted = new Told<unknown>();
const agent = defineAgent({
  name: 'shop',
  async onMessage({ text, journal, signal }, reply) {
    switch (text) {
      case 'Hours?':
        journal.noteUsage(USAGE);
        await reply.say('We open');
        await reply.say(' at nine.');
        return;
      case 'Sunday?':
        journal.sayFiller('Let me look.');
        await reply.say('We are closed.');
        return;
      case 'Bye.':
        reply.hangup({ say: 'Goodbye!' });
        return;
      case 'Cakes?':
        await reply.say('We have');
        throw new Error('no more cakes');
      case 'Listen.':
        await reply.say('Well…');
        interrupted.tell(await fired(signal));
    }
  },
});

interface LogLine {
  readonly msg: string;
  readonly status?: number;
  readonly path?: string;
}

const requests = new Told<LogLine>();
const log = createLogger({
  level: 'info',
  write: (line) => {
    const logged = JSON.parse(line) as LogLine;
    if (logged.msg === 'request') requests.tell(logged);
  },
});
const settings = parseSettings(
  {
    CHAT_COMPLETIONS_KEYS: KEY, CHAT_COMPLETIONS_PROFILE: 'elevenlabs',
    SHUTDOWN_TIMEOUT_SECONDS: '0',
  },
  [],
);
const app = createApp(settings, agent, { log });
let baseURL = '';
before(async () => {
  const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
  baseURL = `http://127.0.0.1:${port}/api/agent`;
});
after(() => app.close());

let questions = 0;

function question(words: string, more: Partial<Question> = {}): Question {
  questions += 1;
  return { words, baseURL, apiKey: KEY, conversationId: `c-${questions}`, ...more };
}

/** Asserts that the client asked only once, although it retries some errors. */
async function assertRefusedOnce(reading: Promise<unknown>, status: number): Promise<string> {
  const before = requests.all.length;
  const error: unknown = await reading.then(() => undefined, (failure: unknown) => failure);
  assert.ok(error instanceof Refused, String(error));
  assert.equal(error.status, status);
  const statuses = requests.all.slice(before).map((line) => line.status);
  assert.deepEqual(statuses, [status]);
  return error.message;
}

for (const { name, problem, read } of readers) {
  describe(name, { skip: problem }, () => {
    const isLivekit = name.startsWith('LiveKit');
    const endCall = { name: 'end_call', args: { reason: 'the agent has said goodbye' } };
    for (const [what, words, text, finish, calls, tokens] of [
      ['a reply, and the tokens of its model', 'Hours?', 'We open at nine.', 'stop', [], [9, 3]],
      [
        'a filler before a reply', 'Sunday?', 'Let me look... We are closed.', 'stop', [],
        [0, 0],
      ],
      ['the end of the call as a tool call', 'Bye.', 'Goodbye!', 'tool_calls', [endCall], [0, 0]],
      ['the apology of a failed turn', 'Cakes?', `We have ${APOLOGY}`, 'stop', [], [0, 0]],
    ] as const)
      it(`reads ${what}`, async () => {
        const expected = { text, finish: isLivekit ? undefined : finish, calls, tokens };
        assert.deepEqual(await read(question(words)), expected);
      });

    it('reads a reply without words', async () => {
      const { text, calls } = await read(question('Hm.'));
      assert.deepEqual([text, calls], ['', []]);
    });

    it('is told that its key is wrong, and does not ask again', async () => {
      const reading = read(question('Hours?', { apiKey: 'sk-wrong' }));
      assert.match(await assertRefusedOnce(reading, 401), /Incorrect API key provided/);
    });

    it('is told what is wrong with its request, and does not ask again', async () => {
      const reading = read(question('Hours?', { isDamaged: true }));
      const message = await assertRefusedOnce(reading, 400);
      assert.match(message, /messages\[0\]\.role must be one of system,/);
    });
  });
}

describe('the clients', () => {
  it('find the routes below every form of the URL', async () => {
    for (const form of [baseURL, `${baseURL}/v1`, `${baseURL}/`]) {
      const { text } = await readers[0]!.read(question('Hours?', { baseURL: form }));
      assert.equal(text, 'We open at nine.');
    }
  });

  it('find the agent among the models', async () => {
    assert.deepEqual(await listModels(question('')), ['shop']);
  });

  it('may list the models before they speak', { skip: livekitProblem }, async () => {
    const before = requests.all.length;
    prewarmLivekit(question(''));
    let next = await requests.next();
    while (requests.all.indexOf(next) < before) next = await requests.next();
    assert.deepEqual([next.path, next.status], ['/api/agent/models', 200]);
  });

  it('end the turn by leaving', async () => {
    assert.equal(await readFirstPiece(question('Listen.')), 'Well…');
    assert.match(String(await within(interrupted.next(), 'the end of the turn')), /left/);
  });
});
