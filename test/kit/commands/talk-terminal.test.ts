import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { deferred, within } from '../../fixtures/app.ts';
import { Person, storyteller } from './talk-person.ts';

const CTRL_C = '\u0003';

describe('talk on a terminal', () => {
  it('prompts, and prints replies as they arrive', async (t) => {
    const { agent, goOn } = storyteller();
    const person = await Person.talksTo(t, { ...agent, welcome: 'Hi!' });
    await person.endsWith('agent› Hi!\nyou  › ');
    person.type('story\r');
    await person.endsWith('story\nagent› Once upon a time');
    goOn();
    await person.endsWith(' there was an end.\nyou  › ');
    assert.equal(await person.hangUp(), 0);
  });

  it('interrupts the reply with the next line, and reports the interruption', async (t) => {
    const { agent, turns } = storyteller();
    const person = await Person.talksTo(t, agent);
    await person.says('story');
    await person.endsWith('Once upon a time');
    person.type('stop\r');
    await person.endsWith(
      'Once upon a time\nyou  › stop\n[interrupted]\nagent› As you like.\nyou  › ',
    );
    assert.deepEqual(
      turns[1]?.event.type === 'message'
        && turns[1].event.interruption_context?.previous_turn_interrupted,
      true,
    );
    await person.hangUp();
  });

  it('counts a reply that was printed to its end as heard', async (t) => {
    const { agent, turns } = storyteller();
    const person = await Person.talksTo(t, {
      ...agent,
      welcome: 'A welcome with a good many words in it.',
    });
    await person.says('now');
    await person.endsWith('As you like.\nyou  › ');
    assert.equal(
      turns[0]?.event.type === 'message' && turns[0].event.interruption_context,
      undefined,
    );
    await person.hangUp();
  });

  it('holds the reply back while the caller is typing, until all is deleted', async (t) => {
    const [first, second] = [deferred(), deferred()];
    const person = await Person.talksTo(t, {
      async *onMessage(_turn, reply) {
        yield 'Once upon a time';
        await first.promise;
        yield ' there was';
        reply.data({ page: 2 });
        await second.promise;
        yield ' an end.';
      },
    });
    await person.says('story');
    await person.endsWith('Once upon a time');
    person.type('st');
    await person.endsWith('\nyou  › st');
    first.resolve();
    await person.sees('[data]'); // so the words before it have arrived
    assert.ok(!person.out.includes('there was'));
    person.type('\u007f\u007f');
    await person.endsWith('agent›  there was');
    second.resolve();
    await person.endsWith('agent›  there was an end.\nyou  › ');
    await person.hangUp();
  });

  it('prints the rest of the reply above what the caller has typed', async (t) => {
    const { agent, goOn, turns } = storyteller();
    const person = await Person.talksTo(t, agent);
    await person.says('story');
    await person.endsWith('Once upon a time');
    person.type('and');
    await person.endsWith('\nyou  › and');
    goOn();
    await person.endsWith('agent›  there was an end.\nyou  › and');
    person.type(' then\r');
    await person.sees('As you like.');
    assert.equal(turns[1]?.text, 'and then');
    await person.hangUp();
  });

  it('redraws a wrapped line only once, below what has arrived meanwhile', async (t) => {
    const goOn = deferred();
    const person = await Person.talksTo(t, {
      async *onMessage(_turn, reply) {
        yield 'Look at';
        await goOn.promise;
        reply.data({ page: 2 });
        yield ' this.';
      },
    }, { columns: 20, terminal: { NO_COLOR: '1' } });
    await person.says('show');
    await person.endsWith('Look at');
    person.type('x'.repeat(40));
    await person.sees('you  › x'); // and what was written at once is read at once
    const typedUntil = person.raw.length;
    goOn.resolve();
    await person.endsWith(`agent›  this.\nyou  › ${'x'.repeat(40)}`);
    // Up from the last of three rows, without another copy below the text.
    const drawn = `\u001b[1G\u001b[0Jyou  › ${'x'.repeat(40)}\u001b[8G`;
    const erased = '\u001b[2A\u001b[1G\u001b[0J';
    assert.equal(
      person.raw.slice(typedUntil),
      `${erased}[data] {"page":2}\n${drawn}${erased}agent›  this.\n${drawn}`,
    );
    person.interrupt();
    await person.exitCode;
  });

  it('interrupts the reply on Ctrl-C, and hangs up on the next Ctrl-C', async (t) => {
    const ended = deferred<void>();
    const person = await Person.talksTo(t, {
      ...storyteller().agent,
      onSessionEnd: () => ended.resolve(),
    });
    await person.says('story');
    await person.endsWith('Once upon a time');
    person.type(CTRL_C);
    await person.endsWith('Once upon a time [interrupted]\nyou  › ');
    person.type(CTRL_C);
    assert.equal(await person.exitCode, 0);
    await within(ended.promise, 'session.end');
  });

  it('interrupts what a voice would still be speaking', async (t) => {
    const person = await Person.talksTo(t, { welcome: 'A welcome with a good many words in it.' });
    await person.endsWith('you  › ');
    person.type(CTRL_C);
    await person.endsWith('[interrupted]\nyou  › ');
    person.type(CTRL_C);
    assert.equal(await person.exitCode, 0);
  });

  for (const [what, hangUp] of [
    ['Ctrl-C while nobody is speaking', (person: Person) => person.type(CTRL_C)],
    ['a signal', (person: Person) => person.interrupt()],
  ] as const) {
    it(`hangs up on ${what}`, async (t) => {
      const person = await Person.talksTo(t, {});
      await person.endsWith('you  › ');
      hangUp(person);
      assert.equal(await person.exitCode, 0);
      assert.equal(person.out, '[silence]\nyou  › \n');
    });
  }

  it('ends when the agent hangs up', async (t) => {
    const person = await Person.talksTo(t, {
      onMessage(_turn, reply) {
        reply.say('Bye.');
        reply.hangup();
      },
    });
    await person.says('bye');
    assert.equal(await person.exitCode, 0);
    assert.ok(person.out.endsWith('agent› Bye.\n[the agent hung up]\n'), person.out);
  });

  it('reports a refused turn, and goes on', async (t) => {
    const person = await Person.talksTo(
      t,
      { onMessage: ({ text }) => `You said ${text}.` },
      { environment: { MAX_BODY_BYTES: '2048' } },
    );
    await person.says('a'.repeat(2_048));
    await person.sees('refused: 413 ');
    await person.says('less');
    await person.endsWith('agent› You said less.\nyou  › ');
    assert.equal(await person.hangUp(), 0);
  });

  it('shows data on a line of its own, with control characters made visible', async (t) => {
    const person = await Person.talksTo(t, {
      onMessage(_turn, reply) {
        reply.say('One\u001b[31m');
        reply.data({ title: 'a\u009bb' });
        reply.say('two\nthree');
      },
    });
    await person.says('go');
    await person.endsWith(
      'agent› One␛[31m\n[data] {"title":"a<U+009B>b"}\nagent› two\n       three\nyou  › ',
    );
    assert.ok(!person.raw.includes('\u001b[31m'));
    await person.hangUp();
  });

  it('is coloured', async (t) => {
    const person = await Person.talksTo(t, { welcome: 'Hi!' });
    await person.sees('you  › ');
    assert.ok(person.raw.startsWith('\u001b[36magent› \u001b[39mHi!'), JSON.stringify(person.raw));
    await person.hangUp();
  });
});
