import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import { talk } from '../../../src/kit/commands/talk.ts';
import { readTalkScript } from '../../../src/kit/talk/talk-script.ts';
import { deferred, fired, serve, within, type TestAgent } from '../../fixtures/app.ts';
import { openTerminal } from '../commands/talk-person.ts';

/**
 * A timeout for what never comes. Whatever does come also has this long, even on a busy machine.
 */
const SHORT = ['--timeout', '0.5'];

describe('readTalkScript', () => {
  for (const [line, message] of [
    ['model says Hello', 'model needs a server of its own: play this with eval'],
    ['from +15550100', 'talk takes this as a flag: --from'],
    ['interrupt during pay', 'talk does not see when a tool runs: play this with eval'],
    ['within 5 tokens', 'within needs a server of its own: play this with eval'],
    ['case {"guests": 2}', 'case: play this with eval'],
    ['tell Hello', 'tell is not a step; docs/evals.md lists them'],
  ] as const) {
    it(`refuses ${JSON.stringify(line)}`, () => {
      const { directory } = openTerminal();
      writeFileSync(join(directory, 'a.txt'), line);
      const expected = { name: 'UsageError', message: `a.txt: line 1: ${message}` };
      assert.throws(() => readTalkScript('a.txt', directory, true), expected);
    });
  }
});

describe('talk --script', () => {
  interface Played {
    readonly exitCode: number;
    /** Without times and without blanks at the margins. */
    readonly lines: readonly string[];
  }

  /** Plays a script to an agent. */
  async function play(
    t: TestContext,
    agent: TestAgent,
    script: string,
    argv: readonly string[] = [],
    terminal = openTerminal(),
  ): Promise<Played> {
    const { client } = serve(t, agent);
    writeFileSync(join(terminal.directory, 'script.txt'), script);
    const exitCode = await talk.run(
      ['--script', 'script.txt', '--url', await client.origin(), ...argv],
      terminal,
    );
    return {
      exitCode,
      lines: terminal.out
        .trim()
        .split('\n')
        .map((line) => line.trim().replace(/(?<=(after|took) )\d+ ms/, '… ms')),
    };
  }

  const polite: TestAgent = { welcome: 'Welcome!', onMessage: ({ text }) => `You said: ${text}` };
  const never = ({ signal }: { readonly signal: AbortSignal }): Promise<void> =>
    fired(signal).then(() => undefined);
  const hesitant: TestAgent = {
    async *onMessage({ signal }) {
      yield 'Hm';
      await fired(signal);
    },
  };
  const reports: readonly (readonly [
    what: string, agent: TestAgent, script: readonly string[], exitCode: number,
    lines: readonly string[], argv?: readonly string[],
  ])[] = [
    ['how each step went', polite,
      ['expect welcome', 'say Hello there  # so', 'within 10 s',
        'expect /^You said: Hello there$/', ''], 0, [
        '✓    welcome  (first word after … ms)',
        '✓ 1  expect welcome',
        '✓ 2  say Hello there  (first word after … ms)',
        '✓ 3  within 10 s',
        '✓ 4  expect /^You said: Hello there$/',
        '',
        'All 4 steps passed.',
      ]],
    ['that the only step passed', polite, ['expect welcome'], 0, [
      '✓    welcome  (first word after … ms)',
      '✓ 1  expect welcome',
      '',
      'The step passed.',
    ]],
    ['what was heard although it was forbidden, and how long a reply took', polite,
      ['never one', 'say One', 'expect-not one', 'expect-no-data x', 'ends-within 10 s'], 1, [
        '✓    welcome  (first word after … ms)',
        '✓ 2  say One  (first word after … ms)',
        '✗ 3  expect-not one',
        'forbidden one',
        'heard     You said: One',
        '✓ 4  expect-no-data x',
        '✓ 5  ends-within 10 s',
        '✗ 1  never one',
        'forbidden one',
        'heard     You said: One',
        '',
        '2 failures in 5 steps.',
      ]],
    ['that a reply is too short to be interrupted', { welcome: 'One two three.' },
      ['interrupt after 3 words'], 1, [
        '✓    welcome  (first word after … ms)',
        '✗ 1  interrupt after 3 words',
        'the reply had only 3 words',
        'heard     One two three.',
        '',
        '1 failure in 1 step.',
      ], SHORT],
    ['data that is not answered, and goes on', { onData: never },
      ['data {}', 'say Hello'], 1, [
        '✓    welcome  (silence)',
        '✗ 1  data {}',
        'no answer after 0.5 s',
        '✓ 2  say Hello  (first word after … ms)',
        '',
        '1 failure in 2 steps.',
      ], SHORT],
    ['a reply that does not end, and stops there', hesitant,
      ['say Hello', 'expect hello', 'say more'], 1, [
        '✓    welcome  (silence)',
        '✗ 1  say Hello',
        'the reply had not ended after 0.5 s',
        'heard     Hm',
        '',
        '1 failure in 3 steps; 2 steps not played.',
      ], SHORT],
  ];
  for (const [what, agent, script, exitCode, lines, argv] of reports) {
    it(`reports ${what}`, async (t) => {
      assert.deepEqual(await play(t, agent, script.join('\n'), argv), { exitCode, lines });
    });
  }

  it('interrupts a reply as soon as it begins', async (t) => {
    const dropped = deferred<unknown>();
    const { exitCode, lines } = await play(t, {
      async *onMessage({ signal, text }) {
        if (text !== 'story') return yield* ['Yes.'];
        yield 'Once upon a time';
        dropped.resolve(await fired(signal));
      },
    }, 'say story\ninterrupt\nsay stop\nexpect yes');
    assert.equal(exitCode, 0);
    assert.match(lines[2] ?? '', /^✓ 2 {2}interrupt {2}\(heard (nothing|Once.*)\)$/);
    await within(dropped.promise, 'the agent to be aborted');
  });

  it('interrupts a reply sent whole once that many words can have been heard', async (t) => {
    const turns: MessageTurn[] = [];
    const { exitCode } = await play(t, {
      onMessage(turn) {
        turns.push(turn);
        return 'One two three four five six seven eight nine ten.';
      },
    }, 'say count\ninterrupt after 1 word\nsay stop');
    assert.equal(exitCode, 0);
    const { words_heard: words, text_heard: text } =
      (turns[1]?.event.type === 'message' && turns[1].event.interruption_context) || {};
    assert.ok(Number(words) >= 1 && Number(words) < 10, String(words));
    assert.ok(String(text).startsWith('One'), String(text));
  });

  it('cannot interrupt a goodbye after the agent has hung up', async (t) => {
    const { exitCode, lines } = await play(t, {
      onMessage: (_turn, reply) => reply.hangup({ say: 'Goodbye, and thank you for calling.' }),
    }, 'say Bye\ninterrupt after 5 words');
    assert.equal(exitCode, 1);
    assert.match(lines.join('\n'), /^the caller heard only [0-4] words?$/m);
  });

  it('sends data while a reply is arriving', async (t) => {
    const sent = deferred<unknown>();
    const { exitCode, lines } = await play(t, {
      async *onMessage() {
        yield 'Look at page ';
        yield JSON.stringify(await sent.promise);
      },
      onData: ({ data }) => sent.resolve(data),
    }, 'say show me\nwithin 10 s\ndata {"page": 2}\nexpect page {"page":2}');
    assert.deepEqual([exitCode, lines[2]], [0, '✓ 3  data {"page": 2}']);
  });

  it('goes on after refused data', async (t) => {
    const { exitCode, lines } = await play(t, {
      onData() {
        throw new Error('broken');
      },
    }, 'data {}\nsay Hello');
    assert.equal(exitCode, 1);
    assert.match(lines[2] ?? '', /refused: 500 Internal server error/);
    assert.equal(lines.at(-1), '1 failure in 2 steps.');
  });

  it('ends at the welcome if the secret is wrong', async (t) => {
    const { exitCode, lines } = await play(t, polite, 'say Hello\nexpect hello', [
      '--secret',
      'whsec_another',
    ]);
    assert.equal(exitCode, 1);
    assert.equal(lines[0], '✗    welcome');
    assert.match(lines[1] ?? '', /refused: 401 Invalid signature; .*--secret/);
    assert.equal(lines.at(-1), '1 failure in 2 steps; 2 steps not played.');
  });

  it('fails if the last reply has no end, and still ends the call', async (t) => {
    let ends = 0;
    const agent = { ...hesitant, onSessionEnd: () => void (ends += 1) };
    const { exitCode, lines } = await play(t, agent, 'say Hello', SHORT);
    assert.deepEqual([exitCode, lines[1], ends], [1, '✗ 1  say Hello', 1]);
  });

  it('reports that the agent could not be told that the call is over', async (t) => {
    const { exitCode, lines } = await play(t, {
      onSessionEnd() {
        throw new Error('broken');
      },
    }, 'say Hello');
    assert.deepEqual([exitCode, lines[2]], [1, '✗    end']);
  });

  it('ends on Ctrl-C', async (t) => {
    const terminal = openTerminal();
    const begun = deferred();
    const ended = deferred();
    const played = play(t, {
      async *onMessage({ signal }) {
        yield 'Hm';
        begun.resolve();
        await fired(signal);
      },
      onSessionEnd: () => ended.resolve(),
    }, 'say Hello\nexpect more', [], terminal);
    await begun.promise;
    terminal.interrupt();
    await assert.rejects(within(played, 'the script to end'), {
      name: 'CommandError',
      message: 'interrupted',
    });
    await within(ended.promise, 'session.end');
  });

  it('sends nothing of a script with a mistake', async (t) => {
    const starts: string[] = [];
    await assert.rejects(
      play(
        t,
        { onSessionStart: ({ conversationId }) => void starts.push(conversationId) },
        'say Hello\ntell Hello',
      ),
      { name: 'UsageError', message: /^script\.txt: line 2: tell is not a step/ },
    );
    assert.deepEqual(starts, []);
  });

  it('refuses a file that is not UTF-8', async () => {
    const terminal = openTerminal();
    writeFileSync(
      join(terminal.directory, 'latin.txt'),
      Buffer.from('say Gr\u00fc\u00dfe', 'latin1'),
    );
    await assert.rejects(talk.run(['--script', 'latin.txt'], terminal), {
      name: 'UsageError',
      message: 'latin.txt: it is not UTF-8 text',
    });
  });
});
