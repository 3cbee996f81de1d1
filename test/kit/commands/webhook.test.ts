// `layercode-microserver webhook` against a stand-in for LayerCode.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { webhookCommand } from '../../../src/kit/commands/webhook.ts';
import { CommandError, UsageError } from '../../../src/kit/terminal/command.ts';
import { SettingsError } from '../../../src/server/settings/settings.ts';
import {
  answerJson,
  REST_KEY,
  startRestServer,
  type RestServer,
} from '../../faults/rest-server.ts';
import { failureOf, RecordedTerminal } from '../terminal/recorded-terminal.ts';

const PRODUCTION = 'https://voice.example/api/agent';
const OTHER = 'https://other.example/api/agent?region=eu';

let rest: RestServer;
let terminal: RecordedTerminal;

/** Call it in a `describe`: each of its tests gets a server. */
function useRestServer(): void {
  beforeEach(async () => {
    rest = await startRestServer({ 'ag-1': PRODUCTION, 'ag-2': OTHER, 'ag-none': null });
    terminal = openTerminal();
  });
  afterEach(() => rest.close());
}

function openTerminal(environment: Readonly<Record<string, string>> = {}): RecordedTerminal {
  return new RecordedTerminal({
    LAYERCODE_API_KEY: REST_KEY,
    LAYERCODE_AGENT_ID: 'ag-1',
    LAYERCODE_API_URL: rest.url,
    ...environment,
  });
}

/** Replaces the environment. */
function use(environment: Readonly<Record<string, string>>): void {
  terminal = openTerminal(environment);
}

function run(...argv: string[]): Promise<number> {
  return webhookCommand.run(argv, terminal);
}

async function refusal(
  promise: Promise<unknown>,
  type: typeof CommandError | typeof UsageError | typeof SettingsError,
): Promise<string> {
  const message = await failureOf(promise, type);
  assert.equal((message + terminal.out + terminal.err).includes(REST_KEY), false, message);
  return message;
}

describe('webhook', () => {
  useRestServer();

  const wrong: readonly (readonly [argv: readonly string[], says: RegExp])[] = [
    [[], /get or set$/],
    [['put'], /get or set, got put/],
    [['get', 'x'], /webhook get takes only flags/],
    [['set'], /webhook set takes the URL/],
    [['set', PRODUCTION, OTHER], /one URL/],
    [['get', '--agent'], /--agent is not a flag of webhook; it takes --agent-id/],
    [['get', '--agent-id', '..'], /an agent's id has at most 256 characters/],
    [['get', '--agent-id', 'a\u001bb'], /an agent's id has at most 256 characters/],
  ];
  for (const [argv, says] of wrong) {
    it(`refuses ${JSON.stringify(argv.join(' '))}`, async () => {
      assert.match(await refusal(run(...argv), UsageError), says);
      assert.equal(rest.requests.length, 0);
    });
  }

  it('never prints an argument that may be a key', async () => {
    await refusal(run(REST_KEY), UsageError);
    await refusal(run('get', `--api-key=${REST_KEY}`), UsageError);
    await refusal(run('set', `https://voice.example/${REST_KEY}#`), UsageError);
  });

  it('says which setting is wrong, as the server does', async () => {
    assert.match(
      await refusal(run('get', '--layercode-api-url', 'ftp://x'), SettingsError),
      /^--layercode-api-url must be an http:/,
    );
    assert.match(
      await refusal(run('get', '--settings-file', 'none.env'), SettingsError),
      /none\.env does not exist/,
    );
  });

  it('takes settings from flags, which override the environment', async () => {
    use({
      LAYERCODE_API_KEY: 'wrong-key',
      LAYERCODE_AGENT_ID: 'ag-none',
      LAYERCODE_API_URL: 'http://127.0.0.1:1',
    });
    assert.equal(
      await run(
        `--layercode-api-key=${REST_KEY}`,
        'get',
        '--layercode-agent-id',
        'ag-1',
        '--layercode-api-url',
        rest.url,
      ),
      0,
    );
    assert.equal(terminal.out, `${PRODUCTION}\n`);
  });

  it('names LAYERCODE_API_KEY, and says where to get it, if it is not set', async () => {
    use({ LAYERCODE_API_KEY: '' });
    assert.match(
      await refusal(run('get'), CommandError),
      /LAYERCODE_API_KEY is not set: .*https:\/\/dash\.layercode\.com/,
    );
  });

  it('asks which agent is meant if LAYERCODE_AGENT_ID names none or several', async () => {
    use({ LAYERCODE_AGENT_ID: '' });
    assert.match(await refusal(run('get'), UsageError), /LAYERCODE_AGENT_ID.*--agent-id/);
    use({ LAYERCODE_AGENT_ID: 'ag-1,ag-2' });
    assert.match(
      await refusal(run('get'), UsageError),
      /LAYERCODE_AGENT_ID names 2 agents: choose one with --agent-id \(ag-1, ag-2\)/,
    );
    assert.equal(rest.requests.length, 0);
  });

  it('prefers --agent-id to LAYERCODE_AGENT_ID, whatever the latter names', async () => {
    for (const [ids, flag] of [
      ['ag-1', ['--agent-id', 'ag-2']],
      ['ag-1,ag-2', ['--agent-id=ag-2']],
      ['', ['--agent-id=ag-2']],
    ] as const) {
      use({ LAYERCODE_AGENT_ID: ids });
      await run('get', ...flag);
      assert.equal(terminal.out, `${OTHER}\n`);
    }
  });
});

describe('webhook get', () => {
  useRestServer();

  it('prints only the URL on stdout', async () => {
    assert.deepEqual([await run('get'), terminal.out, terminal.err], [0, `${PRODUCTION}\n`, '']);
  });

  it('prints nothing on stdout, and fails, if the agent has no webhook', async () => {
    assert.equal(await run('get', '--agent-id', 'ag-none'), 1);
    assert.equal(terminal.out, '');
    assert.match(terminal.err, /^agent ag-none has no webhook.*\n$/);
  });

  it('prints one line, whatever the platform sends', async () => {
    rest.webhooks.set('ag-1', 'https://voice.example/\u001b[2J\nrm -rf');
    await run('get');
    assert.equal(terminal.out, 'https://voice.example/ [2J rm -rf\n');
  });

  it('ends when it is interrupted', async () => {
    rest.fault = () => () => terminal.interrupt();
    assert.equal(await refusal(run('get'), CommandError), 'interrupted');
  });
});

describe('webhook set', () => {
  useRestServer();

  for (const [what, agentId, given, was, now] of [
    ['sets the URL as it was given', 'ag-1', OTHER, PRODUCTION, OTHER],
    ['gives an agent its first webhook', 'ag-none', PRODUCTION, 'none', PRODUCTION],
    ['removes the webhook', 'ag-1', 'none', PRODUCTION, null],
  ] as const) {
    it(`${what}, and prints the old webhook and the new one`, async () => {
      assert.equal(await run('set', given, '--agent-id', agentId), 0);
      assert.equal(rest.webhooks.get(agentId), now);
      const out = `was     ${was}\nis now  ${now ?? 'none'}\n`;
      assert.deepEqual([terminal.out, terminal.err], [out, '']);
    });
  }

  it('sets the URL even if the old one is unclear, and says why', async () => {
    rest.fault = () => (rest.requests.length === 1 ? answerJson(200, { id: 'ag-1' }) : undefined);
    assert.equal(await run('set', OTHER), 0);
    assert.equal(terminal.out, `was     unclear: the agent has neither webhook_url nor config.plugins nor config.endpoint\nis now  ${OTHER}\n`);
  });

  const refused: readonly (readonly [url: string, says: RegExp])[] = [
    ['', /must be an https:\/\/ URL like https:\/\/voice\.example\/api\/agent, got ""/],
    ['voice.example/api/agent', /must be an https:/],
    ['https:voice.example', /must be an https:/],
    ['https:\\\\voice.example\\a', /must be an https:/],
    ['https://', /must be an https:/],
    ['https://voice.example/a b', /must be an https:/],
    ['https://voice.example/a\nb', /must be an https:/],
    ['https://voice.example/a\u200bb', /must be an https:/],
    ['https://voice.example:99999/', /must be an https:/],
    ['ftp://voice.example/a', /must be an https:/],
    [
      'https://user:pass-word@voice.example/a',
      /must not contain a user name or password, got "…@voice\.example\/a"/,
    ],
    ['https://user@voice.example/a', /must not contain a user name/],
    ['https://voice.example/a#b', /must not contain #/],
    ['https://voice.example/a#', /must not contain #/],
    ['http://voice.example/a', /must begin with https:/],
    ['http://localhost.example/a', /must begin with https:/],
    ['http://128.0.0.1/a', /must begin with https:/],
  ];
  for (const [url, says] of refused) {
    it(`refuses ${JSON.stringify(url)}, and sets nothing`, async () => {
      assert.match(await refusal(run('set', url), UsageError), says);
      assert.equal(rest.requests.length, 0);
    });
  }

  const ofThisMachine = [
    'http://localhost:8000/a',
    'https://localhost/a',
    'http://127.0.0.1/a',
    'http://127.1/a',
    'http://[::1]:8000/a',
    'http://app.localhost/a',
    'http://0.0.0.0:8000/a',
    'http://[::ffff:127.0.0.1]/a',
    'http://LOCALHOST./a',
  ];
  for (const url of ofThisMachine) {
    it(`sets ${url} and warns that LayerCode cannot reach it`, async () => {
      assert.equal(await run('set', url), 0);
      assert.equal(rest.webhooks.get('ag-1'), url);
      assert.match(terminal.err, /^LayerCode cannot reach .*\n$/);
    });
  }

  it('suggests the webhook\'s route when the URL has no path', async () => {
    for (const [url, meant] of [
      ['https://voice.example', 'https://voice.example/api/agent'],
      ['https://voice.example/?a=b', 'https://voice.example/api/agent?a=b'],
    ] as const) {
      use({});
      assert.equal(await run('set', url), 0);
      assert.equal(rest.webhooks.get('ag-1'), url);
      assert.ok(terminal.err.includes(`did you mean ${meant}?`), terminal.err);
    }
  });

  it('suggests AGENT_ROUTE if it is set, but not if it is /', async () => {
    use({ AGENT_ROUTE: '/hook' });
    await run('set', 'https://voice.example/');
    assert.match(terminal.err, /https:\/\/voice\.example\/hook\?/);
    use({ AGENT_ROUTE: '/' });
    await run('set', 'https://voice.example/');
    assert.equal(terminal.err, '');
  });

  it('sets nothing if the old URL cannot be read', async () => {
    rest.fault = ({ method }) => (method === 'GET' ? answerJson(500, {}) : undefined);
    await refusal(run('set', OTHER), CommandError);
    assert.equal(rest.webhooks.get('ag-1'), PRODUCTION);
  });

  it('says how to check the outcome if it is interrupted', async () => {
    rest.fault = ({ method }) => (method === 'POST' ? () => terminal.interrupt() : undefined);
    assert.match(
      await refusal(run('set', OTHER), CommandError),
      /^interrupted; check with/,
    );
  });
});
