import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { talk } from '../../../src/kit/commands/talk.ts';
import { deferred, serve, until, within, type TestAgent } from '../../fixtures/app.ts';
import { foreignServer } from '../../fixtures/foreign-server.ts';
import { freePort } from '../../fixtures/redis-server.ts';
import { openTerminal, Person, storyteller } from './talk-person.ts';

/** Serves an agent, and talks to it through a pipe. */
async function pipe(
  t: TestContext,
  agent: TestAgent,
  input: string,
  argv: readonly string[] = [],
  terminal = openTerminal(),
) {
  const { client } = serve(t, agent);
  terminal.stdin.end(input);
  const exitCode = await talk.run(['--url', await client.origin(), ...argv], terminal);
  return { exitCode, out: terminal.out, err: terminal.err };
}

describe('talk through a pipe', () => {
  it('prints the welcome and each reply on its own line, and nothing else', async (t) => {
    const result = await pipe(
      t,
      { welcome: 'Hi!', onMessage: ({ text }) => `You said\n${text}.` },
      'one\n\ntwo',
    );
    assert.deepEqual(result, { exitCode: 0, out: 'Hi!\nYou said one.\nYou said two.\n', err: '' });
  });

  it('says a line only after the reply to the previous line has ended', async (t) => {
    const terminal = openTerminal();
    const { agent, turns, goOn } = storyteller();
    const talked = pipe(t, agent, 'story\nmore\n', [], terminal);
    await until(() => terminal.out !== '', 'the first piece');
    assert.equal(turns.length, 1);
    goOn();
    assert.equal((await talked).out, 'Once upon a time there was an end.\nAs you like.\n');
    assert.equal(
      turns[1]?.event.type === 'message' && turns[1].event.interruption_context,
      undefined,
    );
  });

  it('reports data and a hang-up on stderr, and ends with the hang-up', async (t) => {
    const terminal = openTerminal();
    const { client } = serve(t, {
      onMessage(_turn, reply) {
        reply.data({ page: 2 });
        reply.say('Bye.');
        reply.hangup();
      },
    });
    terminal.stdin.write('one\ntwo\n'); // and it does not end
    assert.equal(await talk.run(['--url', await client.origin()], terminal), 0);
    assert.deepEqual(
      [terminal.out, terminal.err],
      ['Bye.\n', '[data] {"page":2}\n[the agent hung up]\n'],
    );
  });

  it('ends with code 1 at the first refused turn', async (t) => {
    const { exitCode, out, err } = await pipe(t, {}, 'one\ntwo\n', ['--secret', 'whsec_another']);
    assert.deepEqual([exitCode, out], [1, '']);
    assert.match(err, /^\S+\/api\/agent refused: 401 Invalid signature; the server has another webhook secret \(see --secret\).*\n$/);
  });

  it('ends with code 1 if the agent cannot be told that the call is over', async (t) => {
    const { exitCode, err } = await pipe(t, {
      onSessionEnd() {
        throw new Error('broken');
      },
    }, 'one\n');
    assert.equal(exitCode, 1);
    assert.match(err, /refused: 500 Internal server error; see the server's log\n$/);
  });

  it('waits for a reply no longer than --timeout says', async (t) => {
    const { exitCode, out, err } = await pipe(t, storyteller().agent, 'story\nmore\n', [
      '--timeout',
      '0.5',
    ]);
    assert.deepEqual(
      [exitCode, out, err],
      [1, 'Once upon a time\n', 'the reply had not ended after 0.5 s; raise --timeout\n'],
    );
  });

  it('drops the reply on Ctrl-C, and tells the agent that the call is over', async (t) => {
    const terminal = openTerminal();
    const ended = deferred<void>();
    const { agent } = storyteller();
    const { client, interrupted } = serve(t, { ...agent, onSessionEnd: () => ended.resolve() });
    terminal.stdin.write('story\n');
    const talked = talk.run(['--url', await client.origin()], terminal);
    await until(() => terminal.out !== '', 'the first piece');
    terminal.interrupt();
    await assert.rejects(within(talked, 'the talk to end'), {
      name: 'CommandError',
      message: 'interrupted',
    });
    await within(ended.promise, 'session.end');
    assert.equal(interrupted.all.length, 1);
  });

  it('behaves the same on a dumb terminal', async (t) => {
    const person = await Person.talksTo(
      t,
      { onMessage: ({ text }) => text },
      { terminal: { TERM: 'dumb' } },
    );
    person.type('one\n');
    await person.sees('one\n');
    person.type('two\n');
    await person.sees('two\n');
    person.interrupt();
    await assert.rejects(person.exitCode, { message: 'interrupted' });
    assert.equal(person.raw, 'one\ntwo\n');
  });
});

describe('talk over Chat Completions', () => {
  const KEY = 'key-of-the-talk';

  /** Serves an agent with Vapi's profile, and talks to it through a pipe or by a script. */
  async function platform(
    t: TestContext,
    agent: TestAgent,
    { input = '', script, argv = [] }: {
      readonly input?: string;
      readonly script?: string;
      readonly argv?: readonly string[];
    },
  ) {
    const { client, history, app } = serve(t, agent, {
      environment: { CHAT_COMPLETIONS_KEYS: KEY, CHAT_COMPLETIONS_PROFILE: 'vapi' },
    });
    const terminal = openTerminal({ CHAT_COMPLETIONS_KEYS: KEY });
    terminal.stdin.end(input);
    const file = join(terminal.directory, 'a.txt');
    if (script !== undefined) writeFileSync(file, script);
    const exitCode = await talk.run([
      '--url', await client.origin(), '--wire', 'chat-completions', '--profile', 'vapi',
      '--conversation', 'c-1', ...(script === undefined ? [] : ['--script', file]), ...argv,
    ], terminal);
    return { exitCode, out: terminal.out, err: terminal.err, history: await history('c-1'), app };
  }

  for (const argv of [[], ['--retry'], ['--speculate'], ['--speculate', '--retry']]) {
    it(`prints the same as over LayerCode's wire, with flags [${argv.join(' ')}]`, async (t) => {
      const { exitCode, out, err, history } = await platform(t, {
        welcome: 'Hi!', onMessage: ({ text }) => `You said\n${text}.`,
      }, { input: 'one two\n\nthree\n', argv });
      assert.deepEqual([exitCode, out, err], [0, 'Hi!\nYou said one two.\nYou said three.\n', '']);
      assert.deepEqual(history.map(([role]) => role), [
        'assistant', 'user', 'assistant', 'user', 'assistant',
      ]);
    });
  }

  it('refuses a script with a step that the wire does not have', async (t) => {
    await assert.rejects(platform(t, {}, { script: 'say one\n\ndata {"page":2}\n' }), {
      name: 'UsageError',
      message: /a\.txt: line 3: the wire chat-completions has no data from a page$/,
    });
  });
});

describe('talk', () => {
  /**
   * After the test, takes out again what a server's settings put into the process's environment.
   */
  function keepEnvironment(t: TestContext): void {
    const names = Object.keys(process.env);
    t.after(() => {
      for (const name of Object.keys(process.env)) {
        if (!names.includes(name)) delete process.env[name];
      }
    });
  }

  it('finds the server named by the settings, and says so', async (t) => {
    const { client } = serve(t, { welcome: 'Hi!' }, { environment: { AGENT_ROUTE: '/voice' } });
    const { port } = new URL(await client.origin());
    const terminal = openTerminal({ PORT: port, AGENT_ROUTE: '/voice' });
    terminal.stdin.end();
    assert.equal(await talk.run([], terminal), 0);
    assert.deepEqual(
      [terminal.out, terminal.err],
      ['Hi!\n', `Talking with the server at http://localhost:${port}.\n`],
    );
  });

  const greeting = 'Hello! Say something, and I will repeat it.\nYou said: Hello\n';
  const own: readonly (readonly [
    what: string, environment: Readonly<Record<string, string>>, argv: readonly string[],
    said: RegExp,
  ])[] = [
    ['if none answers', { AGENT: 'echo' }, [],
      /^No server answers at http:\/\/localhost:\d+\.\nTalking with the agent "echo", on a server/],
    ['that speaks Chat Completions, with the profile from the flag', { AGENT: 'echo' },
      ['--wire', 'chat-completions', '--profile', 'vapi'],
      /\nTalking with the agent "echo", on a server of its own\.\n$/],
    ['and calls the agent of AGENTS that --agent names', { AGENTS: 'front=slow,back=echo' },
      ['--agent', 'back'], /^Talking with the agent "back", on a server of its own\.$/m],
  ];
  for (const [what, environment, argv, said] of own) {
    it(`starts a server ${what}`, async (t) => {
      keepEnvironment(t);
      const terminal = openTerminal({ PORT: String(await freePort()), ...environment });
      terminal.stdin.end('Hello\n');
      assert.equal(await talk.run(argv, terminal), 0);
      assert.equal(terminal.out, greeting);
      assert.match(terminal.err, said);
    });
  }

  it('does not mistake another program on the port for the server', async (t) => {
    keepEnvironment(t);
    const { origin } = await foreignServer(t, (response) => response.end('{"status":"fine"}'));
    const terminal = openTerminal({ PORT: new URL(origin).port, AGENT: 'echo' });
    terminal.stdin.end();
    await talk.run([], terminal);
    assert.match(terminal.err, /on a server of its own/);
  });

  it('starts a server with the agent from the flag, and says what fails there', async (t) => {
    keepEnvironment(t);
    const { client } = serve(t, {});
    const terminal = openTerminal({ PORT: new URL(await client.origin()).port });
    writeFileSync(
      join(terminal.directory, 'fridge.mjs'),
      'export default { name: "fridge", onMessage() { throw new Error("it is\\nempty"); } };',
    );
    terminal.stdin.end('What is there?\n');
    assert.equal(await talk.run(['--agent', './fridge.mjs'], terminal), 0);
    assert.equal(terminal.out, 'Sorry, something went wrong. Could you say that again?\n');
    assert.equal(
      terminal.err,
      'Talking with the agent "fridge", on a server of its own.\nturn failed: it is empty\n',
    );
  });

  const wrong: readonly (readonly [argv: readonly string[], message: RegExp])[] = [
    [['Hello'], /turn "Hello there"$/],
    [['--agent', 'echo', '--url', 'http://localhost'], /^--agent starts a server of its own/],
    [['--conversation', 'x'.repeat(257)], /^--conversation must be an id/],
    [
      ['--wire', 'chat-completions', '--agent', 'echo', '--key', 'k'],
      /^--agent starts a server of its own, so it goes with neither --url nor --key$/,
    ],
  ];
  for (const [argv, message] of wrong) {
    it(`refuses ${JSON.stringify(argv).slice(0, 60)}`, async () => {
      await assert.rejects(talk.run(argv, openTerminal()), { name: 'UsageError', message });
    });
  }
});
