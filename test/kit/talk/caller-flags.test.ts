import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { talk } from '../../../src/kit/commands/talk.ts';
import { parseCallerFlags, type CallerFlags } from '../../../src/kit/talk/caller-flags.ts';
import { createTestClient } from '../../../src/testing.ts';
import { SECRET, serve } from '../../fixtures/app.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

const KEY = 'completions-key-of-a-test';

describe('parseCallerFlags', () => {
  it('says nothing about the caller if there are no flags', () => {
    assert.deepEqual(parseCallerFlags({}), { from: undefined, metadata: undefined });
  });

  it('accepts a phone number and a metadata object', () => {
    const flags = { '--from': '+15550100', '--metadata': '{"plan":"gold","seats":[1,2]}' };
    const metadata = { plan: 'gold', seats: [1, 2] };
    assert.deepEqual(parseCallerFlags(flags), { from: '+15550100', metadata });
  });

  it('accepts a phone number of exactly 64 characters, and refuses one of 65', () => {
    const longest = '5'.repeat(64);
    assert.equal(parseCallerFlags({ '--from': longest }).from, longest);
    assert.throws(() => parseCallerFlags({ '--from': `${longest}5` }), { name: 'UsageError' });
  });

  const refused: readonly (readonly [CallerFlags, message: RegExp])[] = [
    [{ '--from': '+1\r\nx-evil: 1' }, /^--from must be a number such as \+15550100: .*, got "\+1 x/],
    [{ '--from': 'Zoë' }, /^--from must be .* of ASCII, got "Zoë"$/],
    [{ '--metadata': '{"plan":' }, /^--metadata must be a JSON object such as .*, got "\{\\"plan/],
    [{ '--metadata': '[1]' }, /^--metadata must be a JSON object such as .*, got "\[1\]"$/],
    [{ '--metadata': 'null' }, /^--metadata must be a JSON object such as .*, got "null"$/],
  ];
  for (const [flags, message] of refused) {
    it(`refuses ${JSON.stringify(flags)}`, () => {
      assert.throws(() => parseCallerFlags(flags), { name: 'UsageError', message });
    });
  }
});

/** An agent that says who is calling. */
const telling = {
  onMessage: ({ caller, metadata }: { caller: unknown; metadata: unknown }) =>
    `${JSON.stringify(caller)} ${JSON.stringify(metadata)}`,
};
const TOLD = '{"from":"+15550100"} {"plan":"gold"}';
const environment = { CHAT_COMPLETIONS_KEYS: KEY };

describe('talk --from --metadata', () => {
  for (const [wire, argv] of [
    ['layercode', ['--secret', SECRET]],
    ['chat-completions', ['--wire', 'chat-completions', '--key', KEY]],
    [
      'chat-completions, with speculation and retries',
      ['--wire', 'chat-completions', '--key', KEY, '--speculate', '--retry'],
    ],
  ] as const) {
    it(`tells the agent who is calling: ${wire}`, async (t) => {
      const { client } = serve(t, telling, { environment });
      const terminal = new RecordedTerminal();
      terminal.stdin.end('Who am I?\n');
      const url = await client.origin();
      const who = ['--from', '+15550100', '--metadata', '{"plan":"gold"}'];
      assert.equal(await talk.run(['--url', url, ...who, ...argv], terminal), 0, terminal.err);
      assert.match(terminal.out, /\{"from":"\+15550100".*\} \{"plan":"gold"\}\n$/);
    });
  }
});

describe('createTestClient with a number and metadata', () => {
  for (const [wire, options] of [
    ['layercode', { secret: SECRET }],
    ['chat-completions', { wire: 'chat-completions', key: KEY }],
  ] as const) {
    it(`tells the agent who is calling, unless a turn says otherwise: ${wire}`, async (t) => {
      const { app } = serve(t, telling, { environment });
      const client = createTestClient(app, {
        ...options, from: '+15550100', metadata: { plan: 'gold' },
      });
      for (const text of ['One', 'Two'])
        assert.equal(await (await client.say(text)).text(), TOLD);
      const told = await client.say('Hi', { from_phone_number: '+15550199', metadata: {} });
      assert.equal(await told.text(), '{"from":"+15550199"} {}');
    });
  }
});
