import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { turn } from '../../../src/kit/commands/turn.ts';
import { readKeptCall } from '../../../src/kit/talk/kept-call.ts';
import {
  deferred,
  fired,
  serve,
  until,
  within,
  type TestAgent,
} from '../../fixtures/app.ts';
import { foreignServer } from '../../fixtures/foreign-server.ts';
import type { RecordedTerminal } from '../terminal/recorded-terminal.ts';
import { openTerminal } from './talk-person.ts';

/** Serves an agent, and says one thing to it. */
async function say(
  t: TestContext,
  agent: TestAgent,
  argv: readonly string[] = ['Hello'],
  terminal = openTerminal(),
) {
  const { client } = serve(t, agent);
  const exitCode = await turn.run([...argv, '--url', await client.origin()], terminal);
  return { exitCode, out: terminal.out, err: terminal.err };
}

describe('turn', () => {
  it('prints the reply in the conversation "terminal", and ends with code 0', async (t) => {
    assert.deepEqual(
      await say(t, {
        onMessage: ({ text, conversationId }) => `${conversationId}: you said ${text}.`,
      }, ['Hello', 'there']),
      { exitCode: 0, out: 'terminal: you said Hello there.\n', err: '' },
    );
  });

  it('prints each piece before the next one exists', async (t) => {
    const terminal = openTerminal();
    const goOn = deferred();
    const reply = say(t, {
      async *onMessage() {
        yield 'One ';
        await goOn.promise;
        yield 'two.';
      },
    }, ['Count'], terminal);
    await until(() => terminal.out === 'One ', 'the first piece');
    goOn.resolve();
    assert.equal((await reply).out, 'One two.\n');
  });

  it('reports data and a hang-up on stderr', async (t) => {
    const { exitCode, out, err } = await say(t, {
      onMessage(_turn, reply) {
        reply.data({ page: 2 });
        reply.say('Bye.');
        reply.hangup();
      },
    });
    assert.deepEqual(
      { exitCode, out, err },
      { exitCode: 0, out: 'Bye.\n', err: '[data] {"page":2}\n[hang-up]\n' },
    );
  });

  it('plays a call turn by turn, with one run of the command for each', async (t) => {
    let isOver = false;
    const { client, app } = serve(t, {
      onSessionStart: () => 'Welcome.',
      onMessage: ({ text }) =>
        text === 'Go on' ? 'One two three four five six seven eight nine ten.' : 'Yes.',
      onSessionEnd: () => void (isOver = true),
    });
    const terminal = openTerminal();
    const url = await client.origin();
    const run = (...argv: readonly string[]): Promise<number> =>
      turn.run([...argv, '--conversation', 'c-9', '--url', url], terminal);
    const session = (): string | undefined => readKeptCall(terminal.directory, 'c-9')?.sessionId;
    assert.equal(await run('--begin'), 0);
    const first = session();
    assert.ok(first !== undefined);
    assert.equal(await run('Go on', '--interrupt-after', '2'), 0);
    assert.equal(session(), first);
    assert.equal(await run('What?', '--end'), 0);
    assert.match(terminal.out, /^Welcome\.\nOne two [^]*\nYes\.\n$/);
    assert.match(terminal.err, /^\[interrupted after \d words\]\n$/);
    assert.equal(session(), undefined, 'the next turn is of another call');
    const history = await app.conversations.getHistory('c-9');
    const cut = history.find(({ content }) => content.startsWith('One'))?.content ?? '';
    assert.match(cut, /^One two/);
    assert.doesNotMatch(cut, /ten/);
    await until(() => isOver, 'the end of the call');
    assert.equal(await run('--begin'), 0);
    assert.notEqual(session(), first);
    assert.match(terminal.out, /Welcome\.\n$/);
  });

  it('still reports what was heard if a message fails in between', async (t) => {
    const told: unknown[] = [];
    const { client } = serve(t, {
      onMessage({ event }) {
        told.push(event.type === 'message' ? event.interruption_context : undefined);
        return 'One two three four five six seven eight nine ten.';
      },
    });
    const terminal = openTerminal();
    const url = await client.origin();
    await turn.run(['Go on', '--interrupt-after', '1', '--url', url], terminal);
    assert.match(terminal.err, /^\[interrupted after (1 word|[2-9] words)\]$/m);
    const { origin } = await foreignServer(t, (response) => response.writeHead(503).end());
    await assert.rejects(turn.run(['What?', '--url', origin], terminal), /503/);
    await turn.run(['What?', '--url', url], terminal);
    assert.notEqual(told[1], undefined);
  });

  it('counts a reply without an end as a failure, but prints it', async (t) => {
    const terminal = openTerminal();
    const { origin: url } = await foreignServer(t, (response) => {
      response.setHeader('content-type', 'text/event-stream');
      response.end('data: {"type":"response.tts","content":"Half a "}\n\n');
    });
    await assert.rejects(turn.run(['Hello', '--url', url], terminal), {
      name: 'CommandError',
      message: /it ended without response\.end/,
    });
    assert.equal(terminal.out, 'Half a \n');
  });

  const ends: readonly (readonly [
    when: string, end: (terminal: RecordedTerminal) => void, message: string,
  ])[] = [
    ['on Ctrl-C', (terminal) => terminal.interrupt(), 'interrupted'],
    ['when nobody reads the output any more',
      ({ stdout }) => void stdout.destroy(new Error('write EPIPE')),
      'nobody reads the output any more'],
  ];
  for (const [when, end, message] of ends) {
    it(`drops the request ${when}`, async (t) => {
      const terminal = openTerminal();
      const dropped = deferred<unknown>();
      const reply = say(t, {
        async *onMessage({ signal }) {
          yield 'Once upon a time';
          dropped.resolve(await fired(signal));
        },
      }, ['Hello'], terminal);
      await until(() => terminal.out !== '', 'the first piece');
      end(terminal);
      await assert.rejects(within(reply, 'the turn to end'), { name: 'CommandError', message });
      await within(dropped.promise, 'the agent to be aborted');
    });
  }

  const wrong: readonly (readonly [argv: readonly string[], message: RegExp])[] = [
    [[], /^turn takes what the caller says/],
    [[' '], /^turn takes what the caller says/],
    [['Hello', '--conversation', 'a\u0007b'], /^--conversation must be an id/],
    [['--interrupt-after', '2'], /^turn takes what the caller says/],
    [['--begin', '--interrupt-after', '2'], /^turn takes what the caller says/],
    [['Hi', '--interrupt-after', '0'], /^--interrupt-after must be a number of words/],
  ];
  for (const [argv, message] of wrong) {
    it(`refuses ${JSON.stringify(argv)}`, async () => {
      await assert.rejects(turn.run(argv, openTerminal()), { name: 'UsageError', message });
    });
  }
});
