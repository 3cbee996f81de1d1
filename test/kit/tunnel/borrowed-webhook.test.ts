// An agent's webhook that is borrowed and given back, against a stand-in for LayerCode.

import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { RestClient } from '../../../src/core/wires/layercode/rest-client.ts';
import { borrowWebhook, type BorrowedWebhook } from '../../../src/kit/tunnel/borrowed-webhook.ts';
import {
  answerJson,
  hangsUp,
  REST_KEY,
  startRestServer,
  type RestAnswer,
  type RestServer,
} from '../../faults/rest-server.ts';
import { failureOf, RecordedTerminal } from '../terminal/recorded-terminal.ts';

const PRODUCTION = 'https://voice.example/api/agent';
const OURS = 'https://of-this-run.trycloudflare.com/api/agent';
const DEAD = 'https://of-a-killed-run.trycloudflare.com/api/agent';

let rest: RestServer;
let terminal: RecordedTerminal;

/** Call it in a `describe`: each of its tests gets a server. */
function useRestServer(): void {
  beforeEach(async () => {
    rest = await startRestServer({ 'ag-1': PRODUCTION });
    terminal = new RecordedTerminal();
  });
  afterEach(() => rest.close());
}

function borrow(url = OURS): Promise<BorrowedWebhook> {
  return borrowWebhook({
    client: new RestClient({ url: rest.url, apiKey: REST_KEY }),
    agentId: 'ag-1',
    url,
    terminal,
  });
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const message = await failureOf(promise);
  assert.equal((message + terminal.err).includes(REST_KEY), false);
  return message;
}

function folder(): string {
  return join(terminal.directory, '.layercode');
}

function file(): string {
  return join(folder(), 'webhook-url');
}

function kept(): unknown {
  return existsSync(file()) ? JSON.parse(readFileSync(file(), 'utf8')) : undefined;
}

/** What a killed run leaves behind. */
function leave(urls: unknown, mode = 0o600): void {
  mkdirSync(folder(), { mode: 0o700 });
  writeFileSync(file(), JSON.stringify(urls), { mode });
  chmodSync(file(), mode);
}

/** Lets the webhook be set, but loses the answer. */
function setInVain(becomes: () => void): void {
  rest.fault = ({ method, body }) => {
    if (method !== 'POST' || !body.includes(OURS)) return undefined;
    rest.webhooks.set('ag-1', OURS);
    return (response) => {
      becomes();
      hangsUp(response, { method, path: '', headers: {}, body });
    };
  };
}

describe('borrowWebhook', () => {
  useRestServer();

  it('sets the webhook, and says what it was', async () => {
    await borrow();
    assert.equal(rest.webhooks.get('ag-1'), OURS);
    assert.equal(terminal.err, `  webhook of agent ag-1: was ${PRODUCTION}, is now the tunnel; the old one is put back at the end\n`);
    assert.equal(terminal.out, '');
  });

  const refusals: readonly (readonly [
    what: string, method: string, answer: RestAnswer, says: RegExp, asked: readonly string[],
  ])[] = [
    ['cannot be read', 'GET', answerJson(401, { error: 'Invalid API key' }),
      /^the webhook was not set: LayerCode refused the key \(401\): Invalid API key; check LAYERCODE_API_KEY/,
      ['GET']],
    ['is refused', 'POST', answerJson(400, { error: 'Bad URL' }),
      /^the webhook was not set: .*Bad URL/, ['GET', 'POST']],
    ['is unclear (saying what to do)', 'GET', answerJson(200, { id: 'ag-1', name: 'Test agent' }),
      /^the webhook was not set: .*neither webhook_url nor.*look at the agent in the dashboard.* run without --update-webhook, and set the tunnel's URL yourself$/,
      ['GET']],
  ];
  for (const [what, faulty, answer, says, asked] of refusals) {
    it(`fails when the webhook ${what}, and keeps nothing`, async () => {
      rest.fault = ({ method }) => (method === faulty ? answer : undefined);
      assert.match(await refusal(borrow()), says);
      assert.deepEqual([rest.requests.map(({ method }) => method), kept()], [asked, undefined]);
    });
  }

  for (const [what, becomes, says] of [
    ['the new one is set but the answer is lost', () => undefined,
      /^the webhook was not set: LayerCode cannot be reached/],
    ['it is interrupted meanwhile', () => terminal.interrupt(),
      /^interrupted before the webhook was set/],
  ] as const) {
    it(`fails, and puts the old webhook back, if ${what}`, async () => {
      setInVain(becomes);
      assert.match(await refusal(borrow()), says);
      assert.deepEqual([rest.webhooks.get('ag-1'), kept()], [PRODUCTION, undefined]);
    });
  }
});

describe('borrowWebhook for an agent whose webhook is unclear', () => {
  useRestServer();

  it('fails if LayerCode accepts the URL without using it, and restores the old URL', async () => {
    const posted: unknown[] = [];
    rest.fault = ({ method, body }) => {
      if (method !== 'POST') return undefined;
      posted.push((JSON.parse(body) as { webhook_url: unknown }).webhook_url);
      return answerJson(200, {});
    };
    assert.match(
      await refusal(borrow()),
      /it was set to https:\/\/of-this-run.*, but is still https:\/\/voice\.example/,
    );
    assert.deepEqual(
      [posted, rest.webhooks.get('ag-1'), kept()],
      [[OURS, PRODUCTION], PRODUCTION, undefined],
    );
  });

  it('restores the old webhook if ours was set but cannot be read back', async () => {
    let isHidden = false;
    rest.fault = ({ method, body }) => {
      if (method === 'POST') isHidden = body.includes(OURS);
      const answer =
        isHidden && method === 'GET' ? answerJson(500, { error: 'On fire' }) : undefined;
      if (answer !== undefined) isHidden = false;
      return answer;
    };
    assert.match(await refusal(borrow()), /it was set to https:\/\/of-this-run.*, but reading it back failed: GET .* was refused with 500/);
    assert.deepEqual([rest.webhooks.get('ag-1'), kept()], [PRODUCTION, undefined]);
  });

  // The webhook is set in one place and read from two.
  it('restores the old webhook if setting ours made it unclear', async () => {
    let webhookUrl: unknown = PRODUCTION;
    rest.fault = ({ method, body }) => {
      if (method === 'POST') {
        webhookUrl = (JSON.parse(body) as { webhook_url: unknown }).webhook_url;
      }
      return answerJson(200, { webhook_url: webhookUrl, config: { endpoint: PRODUCTION } });
    };
    assert.match(await refusal(borrow()), /2 different webhooks/);
    assert.deepEqual([webhookUrl, kept()], [PRODUCTION, undefined]);
  });
});

describe('giveBack', () => {
  useRestServer();

  for (const old of [PRODUCTION, null]) {
    it(`restores the webhook ${old ?? 'none'}`, async () => {
      rest.webhooks.set('ag-1', old);
      const borrowed = await borrow();
      assert.equal(rest.webhooks.get('ag-1'), OURS);
      await borrowed.giveBack();
      assert.deepEqual([rest.webhooks.get('ag-1'), kept()], [old, undefined]);
      assert.match(terminal.err, new RegExp(`it is ${old ?? 'none'} again\n$`));
    });
  }

  it('restores the webhook only once, even after an interrupt', async () => {
    const borrowed = await borrow();
    terminal.interrupt();
    const before = rest.requests.length;
    await Promise.all([borrowed.giveBack(), borrowed.giveBack()]);
    await borrowed.giveBack();
    assert.deepEqual(
      rest.requests.slice(before).map(({ method }) => method),
      ['GET', 'POST', 'GET'],
    );
  });

  it('leaves alone a webhook that somebody has set meanwhile, and says so', async () => {
    const borrowed = await borrow();
    rest.webhooks.set('ag-1', 'https://new.example/hook');
    await borrowed.giveBack();
    assert.deepEqual([rest.webhooks.get('ag-1'), kept()], ['https://new.example/hook', undefined]);
    assert.match(terminal.err, /somebody has set it to https:\/\/new\.example\/hook since, and it stays that way; before the tunnel it was https:\/\/voice/);
  });

  for (const before of [PRODUCTION, DEAD]) {
    it(`does nothing if somebody has restored the webhook, which was ${before}`, async () => {
      rest.webhooks.set('ag-1', before);
      leave({ 'ag-1': PRODUCTION });
      const borrowed = await borrow();
      const said = terminal.err;
      rest.webhooks.set('ag-1', PRODUCTION);
      const asked = rest.requests.length;
      await borrowed.giveBack();
      assert.deepEqual([terminal.err, kept()], [said, undefined]);
      assert.deepEqual(rest.requests.slice(asked).map(({ method }) => method), ['GET']);
    });
  }

  const commands: readonly (readonly [old: string | null, word: string])[] = [
    [PRODUCTION, PRODUCTION],
    [null, 'none'],
    ['https://voice.example/?a=1&b=\'$(id)', '\'https://voice.example/?a=1&b=\'\\\'\'$(id)\''],
    ['https://voice.example/\n$(id)\u001b[2J', '\'https://voice.example/ $(id) [2J\''],
  ];
  for (const [old, word] of commands) {
    it(`prints how to restore ${JSON.stringify(old)} if it cannot, and keeps it`, async () => {
      rest.webhooks.set('ag-1', old);
      const borrowed = await borrow();
      const before = kept();
      rest.fault = () => answerJson(503, { error: 'On fire' });
      await borrowed.giveBack();
      assert.match(
        terminal.err,
        /THE WEBHOOK OF AGENT ag-1 WAS NOT PUT BACK\. .*: LayerCode failed \(503\): On fire; .*\. Run:\n/,
      );
      assert.ok(
        terminal.err.endsWith(
          `\n    layercode-microserver webhook set ${word} --agent-id ag-1\n\n`,
        ),
        terminal.err,
      );
      assert.deepEqual(kept(), before);
    });
  }
});

describe('.layercode/webhook-url', () => {
  useRestServer();

  it('holds the old webhook while the new one is set, readable only by this user', async () => {
    let whenSet: unknown;
    rest.fault = ({ method, body }) => {
      if (method === 'POST' && body.includes(OURS)) whenSet = kept();
      return undefined;
    };
    const borrowed = await borrow();
    assert.deepEqual(whenSet, { 'ag-1': PRODUCTION });
    assert.deepEqual(
      [statSync(file()).mode & 0o777, statSync(folder()).mode & 0o777],
      [0o600, 0o700],
    );
    assert.equal(readFileSync(join(folder(), '.gitignore'), 'utf8'), '*\n');
    await borrowed.giveBack();
    assert.deepEqual(readdirSync(folder()), ['.gitignore']);
  });

  it('restores what killed runs replaced, rather than their tunnel', async () => {
    await borrow(DEAD);
    await borrow(DEAD);
    const borrowed = await borrow();
    assert.match(terminal.err, /it is https:\/\/of-a-killed-run\.trycloudflare\.com\/api\/agent, left by a run that was killed; what it was before that is put back/);
    await borrowed.giveBack();
    assert.deepEqual([rest.webhooks.get('ag-1'), kept()], [PRODUCTION, undefined]);
  });

  const left: readonly (readonly [
    what: string, now: string, urls: object, restored: string | null, kept?: object,
  ])[] = [
    ['restores an unset webhook that a killed run replaced', DEAD, { 'ag-1': null }, null],
    ['is ignored if the webhook has been set correctly since', PRODUCTION,
      { 'ag-1': 'https://old.example/hook' }, PRODUCTION],
    ['is ignored for other agents, and keeps their webhooks', DEAD,
      { 'ag-2': 'https://of-agent-2.example/hook' }, DEAD,
      { 'ag-2': 'https://of-agent-2.example/hook' }],
  ];
  for (const [what, now, urls, restored, stays] of left) {
    it(what, async () => {
      rest.webhooks.set('ag-1', now);
      leave(urls);
      await (await borrow()).giveBack();
      assert.deepEqual([rest.webhooks.get('ag-1'), kept()], [restored, stays]);
    });
  }

  it('is kept if another run has set the webhook at the end: that run may need it', async () => {
    const borrowed = await borrow();
    rest.webhooks.set('ag-1', DEAD);
    await borrowed.giveBack();
    assert.deepEqual([rest.webhooks.get('ag-1'), kept()], [DEAD, { 'ag-1': PRODUCTION }]);
  });

  for (const [what, fault] of [
    ['refused', answerJson(400, {})],
    ['not answered', hangsUp],
  ] as const) {
    it(`is kept if a run after a killed one is ${what}, and nobody is blamed`, async () => {
      rest.webhooks.set('ag-1', DEAD);
      leave({ 'ag-1': PRODUCTION });
      rest.fault = ({ method }) => (method === 'POST' ? fault : undefined);
      await refusal(borrow());
      assert.deepEqual(kept(), { 'ag-1': PRODUCTION });
      assert.doesNotMatch(terminal.err, /somebody/);
    });
  }

  it("is not trusted if others can write to it, and the dead tunnel's URL is named", async () => {
    rest.webhooks.set('ag-1', DEAD);
    leave({ 'ag-1': 'https://evil.example' }, 0o622);
    const borrowed = await borrow();
    assert.match(terminal.err, /it is https:\/\/of-a-killed-run\.trycloudflare\.com\/api\/agent, another tunnel, perhaps left by a run that was killed/);
    await borrowed.giveBack();
    assert.equal(rest.webhooks.get('ag-1'), DEAD);
  });

  it('does not stop a run if it cannot be written to', async () => {
    writeFileSync(folder(), 'a file');
    const borrowed = await borrow();
    assert.match(
      terminal.err,
      /webhook-url cannot be written \(.*\): if this run is killed, the webhook will not be put back/,
    );
    await borrowed.giveBack();
    assert.equal(rest.webhooks.get('ag-1'), PRODUCTION);
  });
});
