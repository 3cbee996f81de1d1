import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { findTarget, type TargetFlags } from '../../../src/kit/talk/call-target.ts';
import { CommandError, UsageError } from '../../../src/kit/terminal/command.ts';
import { openDevelopmentSecret } from '../../../src/server/process/development-secret.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

const SECRET = 'whsec_call_target';

describe('the webhook that talk and turn call', () => {
  const urls: readonly (readonly [
    what: string, flags: TargetFlags, environment: Readonly<Record<string, string>>, url: string,
  ])[] = [
    ['that of the server on this machine', {}, {}, 'http://localhost:8000/api/agent'],
    [
      'that of the server named by the settings',
      {},
      { PORT: '8001', AGENT_ROUTE: '/voice' },
      'http://localhost:8001/voice',
    ],
    [
      'the agent route at a URL without a path',
      { '--url': 'https://a.example' },
      { AGENT_ROUTE: '/voice' },
      'https://a.example/voice',
    ],
    [
      'the given URL with its path and query, but without its fragment',
      { '--url': 'https://a.example/other?b=c#d' },
      { AGENT_ROUTE: '/voice' },
      'https://a.example/other?b=c',
    ],
  ];
  for (const [what, flags, environment, url] of urls) {
    it(`is ${what}`, () => {
      const terminal = new RecordedTerminal({ LAYERCODE_WEBHOOK_SECRET: SECRET, ...environment });
      assert.deepEqual(findTarget(flags, undefined, terminal), { url, secret: SECRET });
    });
  }

  for (const [url, fault] of [
    ['localhost:8000', 'be an http:// or https:// URL like http://localhost:8000'],
    ['ftp://a.example', 'be an http:// or https:// URL like http://localhost:8000'],
    ['no URL', 'be an http:// or https:// URL like http://localhost:8000'],
    ['http://me@a.example/', 'not contain a user name or password'],
    ['http://:secret@a.example/', 'not contain a user name or password'],
  ] as const) {
    it(`cannot be ${url}, and no secret in it is shown`, () => {
      const terminal = new RecordedTerminal({ LAYERCODE_WEBHOOK_SECRET: SECRET });
      assert.throws(() => findTarget({ '--url': url }, undefined, terminal), (error: unknown) => {
        assert.ok(error instanceof UsageError);
        assert.ok(error.message.startsWith(`--url must ${fault}, got "`), error.message);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    });
  }

  it('cannot be found if the server chose its own port', () => {
    const terminal = new RecordedTerminal({ LAYERCODE_WEBHOOK_SECRET: SECRET, PORT: '0' });
    assert.throws(() => findTarget({}, undefined, terminal), CommandError);
  });
});

describe('the secret that talk and turn sign with', () => {
  it('is from the flag, else from the first setting, else from a server started here', () => {
    const kept = new RecordedTerminal();
    assert.throws(() => findTarget({}, undefined, kept), /no webhook secret/);
    const { secret } = openDevelopmentSecret(kept.directory);
    assert.equal(findTarget({}, undefined, kept).secret, secret);
    const set = new RecordedTerminal({ LAYERCODE_WEBHOOK_SECRET: 'one,two' }, kept.directory);
    assert.equal(findTarget({}, undefined, set).secret, 'one');
    assert.equal(findTarget({ '--secret': 'given' }, undefined, set).secret, 'given');
  });

  it("is the first agent's if there are several agents", () => {
    const terminal = new RecordedTerminal({
      AGENTS: 'sales=echo,support=echo',
      LAYERCODE_WEBHOOK_SECRET: 'common',
      LAYERCODE_WEBHOOK_SECRET_SALES: 'of-sales',
    });
    assert.equal(findTarget({}, undefined, terminal).secret, 'of-sales');
  });

  it('is found despite faults in the settings if it is given with a URL', () => {
    const terminal = new RecordedTerminal({ PORT: 'wrong' });
    const flags = { '--url': 'http://a.example/x', '--secret': 's' };
    assert.deepEqual(findTarget(flags, undefined, terminal), {
      url: 'http://a.example/x', secret: 's',
    });
  });

  it('may come from a flag alone, even in production', () => {
    const terminal = new RecordedTerminal({ NODE_ENV: 'production', OPENAI_API_KEY: 'sk-key' });
    assert.equal(findTarget({ '--secret': 's' }, undefined, terminal).secret, 's');
  });
});

describe('the agent that talk calls over Chat Completions', () => {
  const behaviour = { isRetrying: false, isSpeculating: false };

  it('is below the agent route, with the first key and the profile of the settings', () => {
    const terminal = new RecordedTerminal({
      PORT: '8001', CHAT_COMPLETIONS_KEYS: 'one-key,another', CHAT_COMPLETIONS_PROFILE: 'livekit',
    });
    assert.deepEqual(findTarget({}, behaviour, terminal), {
      url: 'http://localhost:8001/api/agent/chat/completions',
      secret: 'one-key',
      platform: { ...behaviour, profile: 'livekit' },
    });
  });

  for (const [given, url] of [
    ['https://a.example', 'https://a.example/api/agent/chat/completions'],
    ['https://a.example/voice/', 'https://a.example/voice/chat/completions'],
    ['https://a.example/v1/chat/completions', 'https://a.example/v1/chat/completions'],
    ['https://a.example/x?b=c', 'https://a.example/x/chat/completions?b=c'],
  ] as const) {
    it(`is found for the URL ${given}`, () => {
      const wire = { ...behaviour, key: 'k', profile: 'vapi' } as const;
      const target = findTarget({ '--url': given }, wire, new RecordedTerminal());
      assert.equal(target.url, url);
    });
  }

  it('is called with the key of the first agent if there are several', () => {
    const terminal = new RecordedTerminal({
      AGENTS: 'sales=echo,support=echo',
      CHAT_COMPLETIONS_KEYS: 'common',
      SALES_CHAT_COMPLETIONS_KEYS: 'of-sales',
    });
    assert.equal(findTarget({}, behaviour, terminal).secret, 'of-sales');
  });

  it('cannot be called without a key', () => {
    assert.throws(() => findTarget({}, behaviour, new RecordedTerminal()), {
      name: 'CommandError',
      message: 'no key: set CHAT_COMPLETIONS_KEYS as on the server, or pass --key',
    });
  });
});
