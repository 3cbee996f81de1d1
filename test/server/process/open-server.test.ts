import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import { createTestClient } from '../../../src/kit/test-client.ts';
import { openServer, type OpenServer } from '../../../src/server/process/open-server.ts';
import { welcome } from '../../../src/server/process/welcome.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';

const COMMON = 'whsec_common_0123456789';
const OWN = 'whsec_of_support_0123456789';
const SHORT = 'a secret is short';

let directory = '';
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'open-server-'));
});
after(() => rmSync(directory, { recursive: true, force: true }));

const environment = { ...process.env };

async function open(
  t: TestContext,
  variables: Readonly<Record<string, string>>,
): Promise<{ server: OpenServer; lines: readonly string[] }> {
  const lines: string[] = [];
  const fixed = { HOST: '127.0.0.1', PORT: '0', SHUTDOWN_TIMEOUT_SECONDS: '0' };
  const settings = parseSettings({ ...fixed, ...variables }, []);
  const write = (line: string): unknown => lines.push(line);
  t.after(() => { // agents were given the variables
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, environment);
  });
  const server = await openServer(settings, { directory, write, isTerminal: false });
  t.after(() => server.app.close());
  return { server, lines };
}

describe('openServer', () => {
  it('warns about a model that has no key', async (t) => {
    const { lines } = await open(t, { AGENT: 'starter', LAYERCODE_WEBHOOK_SECRET: COMMON });
    assert.match(lines.join(''), /"level":"warn","msg":"model","problem":"[^"]*OPENAI_API_KEY/);
  });

  it('says once that Chat Completions is off if it is set up without a key', async (t) => {
    const off = 'Chat Completions is off until CHAT_COMPLETIONS_KEYS is set';
    const vapi = { CHAT_COMPLETIONS_PROFILE: 'vapi', VAPI_WEBHOOK_SECRET: OWN };
    for (const [given, variables] of [
      [vapi, ['CHAT_COMPLETIONS_PROFILE']],
      [{ ELEVENLABS_WEBHOOK_SECRET: OWN }, ['ELEVENLABS_WEBHOOK_SECRET']],
      [{ ...vapi, CHAT_COMPLETIONS_KEYS: COMMON }, []],
      [{ ...vapi, AGENT: '', AGENTS: 'sales=echo', SALES_CHAT_COMPLETIONS_KEYS: COMMON }, []],
      [{}, []],
    ] as const) {
      const common = { AGENT: 'echo', LAYERCODE_WEBHOOK_SECRET: COMMON };
      const { lines } = await open(t, { ...common, ...given });
      assert.deepEqual(variablesOf(off, lines), variables);
    }
  });
});

describe('welcome', () => {
  it('says why the echo agent stands in for a model', async (t) => {
    for (const [given, said] of [
      [{}, 'No model has a key, so the echo agent repeats what it hears. Set OPENAI_API_KEY'],
      [
        { DEFAULT_MODEL: 'anthropic:claude-haiku-4-5' },
        'No model can be used, so the echo agent repeats what it hears. '
          + 'ANTHROPIC_API_KEY is not set, but model anthropic:claude-haiku-4-5 needs it.',
      ],
      [
        { GROQ_API_KEY: 'gsk-0123456789' },
        'GROQ_API_KEY is set, but no model, so the echo agent repeats what it hears. '
          + 'Set DEFAULT_MODEL=groq:….',
      ],
    ] as const) {
      const { server } = await open(t, { LAYERCODE_WEBHOOK_SECRET: COMMON, ...given });
      assert.ok(welcome(server.settings, server).includes(said), welcome(server.settings, server));
    }
  });
});

describe('openServer in production', () => {
  const short = 'whsec_15_chars_';
  const production = { NODE_ENV: 'production', AGENT: 'echo', DRAIN_DELAY_SECONDS: '0' };

  it('warns about a secret shorter than 16 characters if the echo agent is served', async (t) => {
    const { lines } = await open(t, { ...production, LAYERCODE_WEBHOOK_SECRET: short });
    assert.deepEqual(variablesOf(SHORT, lines), ['LAYERCODE_WEBHOOK_SECRET']);
    assert.ok(!lines.join('').includes(short));
    for (const variables of [
      { ...production, LAYERCODE_WEBHOOK_SECRET: `${short}_` },
      { AGENT: 'echo', LAYERCODE_WEBHOOK_SECRET: short },
    ])
      assert.deepEqual(variablesOf(SHORT, (await open(t, variables)).lines), []);
  });

  it("generates no secret for LayerCode if another wire has a key", async (t) => {
    const { server } = await open(t, { ...production, CHAT_COMPLETIONS_KEYS: COMMON });
    assert.deepEqual([server.settings.webhookSecrets, server.secretFile], [[], undefined]);
  });
});

/** The variables that lines with that message name. */
function variablesOf(message: string, lines: readonly string[]): readonly unknown[] {
  const all = lines.join('').trim().split('\n').map((line) => JSON.parse(line) as LogLine);
  return all.flatMap(({ msg, variable }) => (msg === message ? [variable] : []));
}

interface LogLine {
  readonly msg: string;
  readonly variable?: unknown;
}

describe('openServer with AGENTS', () => {
  before(() => {
    for (const name of ['sales', 'support']) {
      const agent = `{ name: 'any', onMessage: ({ text }) => '${name}: ' + text }`;
      writeFileSync(join(directory, `${name}.mjs`), `export default ${agent};\n`);
    }
    writeFileSync(join(directory, 'broken.mjs'), 'export default { name: "broken" };\n');
  });

  const AGENTS = 'sales=./sales.mjs,support=./support.mjs';

  it('serves each agent, lists them, and generates a secret for those without one', async (t) => {
    const { server, lines } = await open(t, { AGENTS, LAYERCODE_WEBHOOK_SECRET_SUPPORT: OWN });
    const [generated = ''] = server.settings.webhookSecrets;
    for (const [secret, name] of [[generated, 'sales'], [OWN, 'support']] as const) {
      const agentRoute = `/api/agent/${name}`;
      const client = createTestClient(server.origin, { secret, agentRoute });
      assert.equal(await (await client.say('Hi')).text(), `${name}: Hi`);
    }
    assert.match(lines.join(''), /"listening".*"agent":"sales,support"/);
  });

  it('generates no secret if each agent has its own', async (t) => {
    const secrets = { LAYERCODE_WEBHOOK_SECRET_SUPPORT: OWN, LAYERCODE_WEBHOOK_SECRET_SALES: OWN };
    const { server } = await open(t, { AGENTS, ...secrets });
    assert.deepEqual([server.settings.webhookSecrets, server.secretFile], [[], undefined]);
  });

  it('logs none of the secrets of its agents', async (t) => {
    const variables = { LAYERCODE_WEBHOOK_SECRET: COMMON, LAYERCODE_WEBHOOK_SECRET_SUPPORT: OWN };
    const { server, lines } = await open(t, { AGENTS, ...variables });
    server.log.info(`a line with ${OWN}`);
    assert.doesNotMatch(lines.join(''), new RegExp(OWN));
  });

  it('does not open if one agent cannot be loaded', async (t) => {
    const oneWrong = 'support=./support.mjs,broken=./broken.mjs';
    await assert.rejects(open(t, { AGENTS: oneWrong, LAYERCODE_WEBHOOK_SECRET: COMMON }), {
      name: 'SettingsError',
      message: /^agent broken: [^;]*must have onMessage[^;]*$/,
    });
  });
});
