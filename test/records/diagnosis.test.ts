// Ten calls, five of them broken in different ways. Each cause is told by `calls` and the metrics
// alone, as the operator of a server would look for it.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../src/agents/define-agent.ts';
import type { App } from '../../src/app/app.ts';
import { createApp } from '../../src/app/create-app.ts';
import type { Conversation } from '../../src/conversations/conversation.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import { calls } from '../../src/kit/commands/calls.ts';
import { scriptedModel } from '../../src/kit/scripted-model.ts';
import { createTestClient } from '../../src/kit/test-client.ts';
import { createLogger } from '../../src/log.ts';
import type { ChatModel } from '../../src/models/model.ts';
import { withFallbacks } from '../../src/models/retry.ts';
import { openCallRecords } from '../../src/records/open-call-records.ts';
import { parseSettings } from '../../src/settings/parse-settings.ts';
import { tool } from '../../src/tools/tool.ts';
import {
  fails, says, startModelServer, type Answer,
} from '../faults/model-server.ts';
import { SECRET, until } from '../fixtures/app.ts';
import { jumpingClock } from '../fixtures/clock.ts';
import { RecordedTerminal } from '../kit/terminal/recorded-terminal.ts';
import { modelAt } from '../models/reading.ts';

const CAUSES = ['slow tool', 'slow model', 'fall-back', 'degraded store', 'wrong prompt'] as const;
type Cause = (typeof CAUSES)[number];
/** Much longer than anything of a healthy call. No test waits for it: the clock jumps. */
const LONG_MS = 60_000;

const environment = {
  LAYERCODE_WEBHOOK_SECRET: SECRET, CALL_RECORDS: 'file:calls.jsonl',
  CAPTURE_MODEL_REQUESTS: 'true', FILLER_AFTER_MS: '0', PLAYGROUND: 'false',
};
const log = createLogger({ level: 'silent', write: () => undefined });
const idOf = (what: string): string => `conv-${what.replace(' ', '-')}`;

/** A store that takes long for one conversation. */
class SlowStore extends MemoryStore {
  readonly #pass: (ms: number) => void;

  constructor(pass: (ms: number) => void) {
    super({ ttlMs: 3_600_000, maxConversations: 100, maxCharacters: 1e7 });
    this.#pass = pass;
  }

  override update<T>(id: string, change: (conversation: Conversation) => T): T {
    if (id !== idOf('degraded store')) return super.update(id, change);
    return Promise.resolve().then(() => {
      this.#pass(LONG_MS);
      return super.update(id, change);
    }) as T;
  }
}

/** What `calls show` says of the call, and of no other. */
const SIGNS: Readonly<Record<Cause, RegExp>> = {
  'slow tool': /^slowest\n +6\d{4} ms {2}tool stock/m,
  'slow model': /^slowest\n +6\d{4} ms {2}model openai:slow/m,
  'fall-back': /^model: openai:broken, .* answered HTTP 400, openai:luna was asked instead/m,
  'degraded store': /^slowest\n +\d{5,} ms {2}the store, in the turn/m,
  'wrong prompt': /sent: \{"role":"system","content":"You sell shoes\."\}/,
};

interface Answering {
  readonly app: App;
  /** What a command of `calls` prints. */
  told(...argv: readonly string[]): Promise<string>;
}

/** A bakery, and its ten calls. */
async function afterTenCalls(t: TestContext): Promise<Answering> {
  const pass = jumpingClock(t);
  const terminal = new RecordedTerminal(environment);
  t.after(() => terminal.clear());

  async function answering(name: string, answer: Answer): Promise<ChatModel> {
    const server = await startModelServer([answer]);
    t.after(() => server.close());
    return modelAt(server.url, { name });
  }

  const healthy = await answering('openai:luna', says('Yes, three loaves.'));
  const slow = await answering('openai:slow', (response, request) => {
    pass(LONG_MS);
    return says('Yes.')(response, request);
  });
  const broken = await answering('openai:broken', fails(400, '{}'));
  const models: Partial<Record<string, ChatModel>> = {
    'slow tool': scriptedModel([{ call: 'stock', args: {} }, 'Three loaves.']),
    'slow model': slow,
    'fall-back': withFallbacks([broken, healthy]),
  };
  const agent = defineAgent({
    name: 'bakery',
    prompt: ({ text }) => (text === 'wrong prompt' ? 'You sell shoes.' : 'You sell bread.'),
    model: ({ text }) => models[text] ?? healthy,
    tools: [tool({
      name: 'stock', description: 'How many loaves there are.', parameters: { type: 'object' },
      run: () => (pass(LONG_MS), 3),
    })],
  });
  const settings = parseSettings(environment, []);
  const records = await openCallRecords(settings, { log, directory: terminal.directory });
  assert.ok(records !== undefined);
  const app = createApp(settings, agent, { log, records, store: new SlowStore(pass) });
  const client = createTestClient(app, { secret: SECRET });
  t.after(() => client.close());
  for (let n = 0; n < 10; n += 1) {
    const what = CAUSES[n] ?? `healthy ${n}`;
    const ids = { conversation_id: idOf(what), session_id: `s-${n}` };
    await (await client.say(what, ids)).text();
    await client.post({ type: 'session.end', ...ids });
  }
  await until(() => records.counts().written === 10, 'ten records');
  return {
    app,
    async told(...argv) {
      const own = new RecordedTerminal(environment, terminal.directory);
      assert.equal(await calls.run(argv, own), 0);
      return own.out;
    },
  };
}

describe('ten calls, five of them broken on purpose', () => {
  it('tell each cause in calls and metrics, and no cause of another', async (t) => {
    const { app, told } = await afterTenCalls(t);
    const late = await told('list', '--slower-than', '30000');
    assert.deepEqual(late.match(/conv-[a-z-]+/g)?.sort(), [
      idOf('degraded store'), idOf('slow model'), idOf('slow tool'),
    ]);
    for (const call of CAUSES) {
      const story = await told('show', idOf(call), '--requests');
      for (const cause of CAUSES)
        assert.equal(SIGNS[cause].test(story), call === cause, `${cause} in ${story}`);
    }
    const metrics = app.metrics.text();
    for (const sign of [
      'layercode_model_requests_total{model="openai:broken",outcome="http_error"} 1',
      'layercode_tool_duration_seconds_bucket{tool="stock",le="10"} 0',
      'layercode_model_first_token_seconds_bucket{model="openai:slow",le="10"} 0',
    ])
      assert.ok(metrics.includes(sign), sign);
  });
});
