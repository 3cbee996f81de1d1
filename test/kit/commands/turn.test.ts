import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { turn } from '../../../src/kit/commands/turn.ts';
import { readKeptCall } from '../../../src/kit/talk/kept-call.ts';
import {
  deferred,
  fired,
  SECRET,
  serve,
  until,
  within,
  type TestAgent,
} from '../../fixtures/app.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

function openTerminal(
  t: TestContext,
  environment: Readonly<Record<string, string>> = { LAYERCODE_WEBHOOK_SECRET: SECRET },
): RecordedTerminal {
  const terminal = new RecordedTerminal(environment);
  t.after(() => terminal.clear());
  return terminal;
}

/** Serves an agent, and says one thing to it. */
async function say(
  t: TestContext,
  agent: TestAgent,
  argv: readonly string[] = ['Hello'],
  terminal = openTerminal(t),
) {
  const { client } = serve(t, agent);
  const exitCode = await turn.run([...argv, '--url', await client.origin()], terminal);
  return { exitCode, out: terminal.out, err: terminal.err };
}

/** A server that is none of ours. */
async function listen(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('turn', () => {
  it('prints the reply, and ends with code 0', async (t) => {
    assert.deepEqual(
      await say(t, { onMessage: ({ text }) => `You said ${text}.` }, ['Hello', 'there']),
      { exitCode: 0, out: 'You said Hello there.\n', err: '' },
    );
  });

  it('prints each piece before the next one exists', async (t) => {
    const terminal = openTerminal(t);
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

  it('tells of data and a hang-up on stderr', async (t) => {
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

  it('plays a call turn by turn, each in a process of its own', async (t) => {
    let isOver = false;
    const { client, app } = serve(t, {
      onSessionStart: () => 'Welcome.',
      onMessage: ({ text }) =>
        text === 'Go on' ? 'One two three four five six seven eight nine ten.' : 'Yes.',
      onSessionEnd: () => void (isOver = true),
    });
    const terminal = openTerminal(t);
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

  it('still tells what was heard after a message that failed', async (t) => {
    const told: unknown[] = [];
    const { client } = serve(t, {
      onMessage({ event }) {
        told.push(event.type === 'message' ? event.interruption_context : undefined);
        return 'One two three four five six seven eight nine ten.';
      },
    });
    const terminal = openTerminal(t);
    const url = await client.origin();
    await turn.run(['Go on', '--interrupt-after', '1', '--url', url], terminal);
    assert.match(terminal.err, /^\[interrupted after (1 word|[2-9] words)\]$/m);
    const broken = await listen(t, (_request, response) => response.writeHead(503).end());
    await assert.rejects(turn.run(['What?', '--url', broken], terminal), /503/);
    await turn.run(['What?', '--url', url], terminal);
    assert.notEqual(told[1], undefined);
  });

  it('begins a new call where it is told to, and needs something to do', async (t) => {
    const terminal = openTerminal(t);
    for (const argv of [[], ['--interrupt-after', '2'], ['--begin', '--interrupt-after', '2']])
      await assert.rejects(turn.run(argv, terminal), { name: 'UsageError' });
    await assert.rejects(turn.run(['Hi', '--interrupt-after', '0'], terminal), {
      message: /^--interrupt-after must be a number of words/,
    });
  });

  it('takes silence for a reply', async (t) => {
    assert.deepEqual(await say(t, { onMessage: () => undefined }), {
      exitCode: 0,
      out: '',
      err: '',
    });
  });

  it('speaks in the conversation "terminal", or in another', async (t) => {
    const conversations: string[] = [];
    const onMessage = ({ conversationId }: { conversationId: string }): string => {
      conversations.push(conversationId);
      return 'Yes.';
    };
    await say(t, { onMessage });
    await say(t, { onMessage }, ['Hello', '--conversation=c-7']);
    assert.deepEqual(conversations, ['terminal', 'c-7']);
  });

  it('finds the server of the settings, at another route too', async (t) => {
    const { client } = serve(t, {}, { environment: { AGENT_ROUTE: '/voice' } });
    const { port } = new URL(await client.origin());
    const terminal = openTerminal(t, {
      LAYERCODE_WEBHOOK_SECRET: SECRET,
      PORT: port,
      AGENT_ROUTE: '/voice',
    });
    assert.equal(await turn.run(['Hello'], terminal), 0);
    assert.equal(terminal.out, 'Yes.\n');
  });

  it('asks for a secret if there is none', async (t) => {
    await assert.rejects(turn.run(['Hello'], openTerminal(t, {})), {
      name: 'CommandError',
      message: /^no webhook secret: .*--secret/,
    });
  });

  it('says which secret to look at when it is refused', async (t) => {
    await assert.rejects(say(t, {}, ['Hello', '--secret', 'whsec_another']), {
      name: 'CommandError', message: /\/api\/agent refused: 401 Invalid signature; .*--secret/,
    });
  });

  it('takes an answer that is no reply for a failure', async (t) => {
    const url = await listen(t, (_request, response) => response.end('It works!'));
    await assert.rejects(turn.run(['Hello', '--url', url], openTerminal(t)), {
      name: 'CommandError',
      message: /\(200\) is not a complete reply/,
    });
  });

  it('takes a reply without an end for a failure, and has printed it', async (t) => {
    const terminal = openTerminal(t);
    const url = await listen(t, (_request, response) => {
      response.setHeader('content-type', 'text/event-stream');
      response.end('data: {"type":"response.tts","content":"Half a "}\n\n');
    });
    await assert.rejects(turn.run(['Hello', '--url', url], terminal), {
      name: 'CommandError',
      message: /it ended without response\.end/,
    });
    assert.equal(terminal.out, 'Half a \n');
  });

  it('keeps what a server says in an error to one line', async (t) => {
    const url = await listen(t, (_request, response) =>
      response.writeHead(500).end(JSON.stringify({ error: 'no\n\u001b[2Jway' })),
    );
    await assert.rejects(turn.run(['Hello', '--url', url], openTerminal(t)), {
      message: /500 no \[2Jway; see the server's log$/,
    });
  });

  it('drops the request at Ctrl-C', async (t) => {
    const terminal = openTerminal(t);
    const dropped = deferred<unknown>();
    const { client } = serve(t, {
      async *onMessage({ signal }) {
        yield 'Once upon a time';
        dropped.resolve(await fired(signal));
      },
    });
    const reply = turn.run(['Hello', '--url', await client.origin()], terminal);
    await until(() => terminal.out !== '', 'the first piece');
    terminal.interrupt();
    await assert.rejects(within(reply, 'the turn to end'), {
      name: 'CommandError',
      message: 'interrupted',
    });
    await within(dropped.promise, 'the agent to be aborted');
  });

  it('drops the request when nobody reads the output any more', async (t) => {
    const terminal = openTerminal(t);
    const { client } = serve(t, {
      async *onMessage({ signal }) {
        yield 'Once upon a time';
        await fired(signal);
      },
    });
    const reply = turn.run(['Hello', '--url', await client.origin()], terminal);
    await until(() => terminal.out !== '', 'the first piece');
    terminal.stdout.destroy(new Error('write EPIPE'));
    await assert.rejects(within(reply, 'the turn to end'), {
      name: 'CommandError',
      message: 'nobody reads the output any more',
    });
  });

  const wrong: readonly (readonly [argv: readonly string[], message: RegExp])[] = [
    [[], /^turn takes what the caller says/],
    [[' '], /^turn takes what the caller says/],
    [['Hello', '--urk', 'x'], /^--urk is not a flag of turn; it takes --url/],
    [['-x'], /^-x is not a flag.* begin with a dash after --$/],
    [['Hello', '--url'], /^--url needs a value$/],
    [['Hello', '--url', '--secret', 'x'], /^--url needs a value$/],
    [['Hello', '--conversation', 'a\u0007b'], /^--conversation must be an id/],
    [['Hello', '--url', 'localhost:8000'], /^--url must be an http:/],
    [
      ['Hello', '--url', 'http://me:pass@localhost'],
      /^--url must not contain a user name or password, got "…@localhost"$/,
    ],
  ];
  for (const [argv, message] of wrong) {
    it(`refuses ${JSON.stringify(argv)}`, async (t) => {
      await assert.rejects(turn.run(argv, openTerminal(t)), { name: 'UsageError', message });
    });
  }

  it('takes a text that begins with dashes after --', async (t) => {
    const { client } = serve(t, { onMessage: ({ text }) => text });
    const terminal = openTerminal(t);
    await turn.run(['--url', await client.origin(), '--', '--secret'], terminal);
    assert.equal(terminal.out, '--secret\n');
  });

  it('has a help page of at most 100 columns', () =>
    assert.ok(turn.help.split('\n').every((line) => line.length <= 100)));
});
