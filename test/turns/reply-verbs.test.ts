// What an agent says, sends and ends through its reply.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Reply } from '../../src/agents/agent.ts';
import { DEFAULT_APOLOGY } from '../../src/agents/phrases.ts';
import { deferred, Told, within } from '../fixtures/app.ts';
import { answersTo, historyAfter } from './single-message.ts';

describe('reply', () => {
  const after: readonly (readonly [what: string, write: (reply: Reply) => unknown])[] = [
    ['say', (reply) => reply.say('late')],
    ['data', (reply) => reply.data('late')],
  ];
  for (const [what, write] of after) {
    it(`.${what} after the end returns false`, async (t) => {
      const results = new Told<unknown>();
      await answersTo(t, (_turn, reply) => {
        reply.end();
        results.tell(write(reply));
      });
      assert.equal(await results.next(), false);
    });
  }

  for (const [what, write] of [
    ...after,
    ['hangup', (reply: Reply) => reply.hangup({ say: 'late' })],
    ['end', (reply: Reply) => reply.end()],
  ] as const) {
    it(`.${what} after the end sends nothing`, async (t) => {
      const answers = await answersTo(t, (_turn, reply) => {
        reply.say('Bye.');
        reply.end();
        write(reply);
      });
      assert.deepEqual(answers, [
        ['response.tts', 'Bye.'],
        ['response.end', undefined],
      ]);
    });
  }

  for (const [what, write] of [
    ['say', (reply: Reply) => reply.say(7 as unknown as string)],
    ['data', (reply: Reply) => reply.data(undefined as unknown as null)],
  ] as const) {
    it(`.${what} with a wrong value after the end is a no-op, never an exception`, async (t) => {
      const results = new Told<unknown>();
      await answersTo(t, (_turn, reply) => {
        reply.end();
        try {
          results.tell(write(reply));
        } catch (error) {
          results.tell(error);
        }
      });
      assert.equal(await results.next(), false);
    });
  }

  it('.say returns true while there is room', async (t) => {
    const results = new Told<unknown>();
    await answersTo(t, (_turn, reply) => {
      results.tell(reply.say('One.'));
    });
    assert.equal(await results.next(), true);
  });

  it('.hangup says goodbye first, then hangs up, then ends', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => reply.hangup({ say: 'Bye.' }));
    assert.deepEqual(answers, [
      ['response.tts', 'Bye.'],
      ['response.hangup', undefined],
      ['response.end', undefined],
    ]);
  });

  it('.hangup keeps the goodbye apart from the last of several words', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('One. ');
      reply.say('Two');
      reply.data({ progress: 1 });
      reply.hangup({ say: 'Bye.' });
    });
    const said = answers.filter(([type]) => type === 'response.tts').map(([, text]) => text);
    assert.equal(said.join(''), 'One. Two Bye.');
  });

  it('keeps an apology apart from the last of several words, and from no other', async (t) => {
    for (const [first, last, text] of [
      ['One. ', 'Two', `One. Two ${DEFAULT_APOLOGY}`],
      ['One', ' two. ', `One two. ${DEFAULT_APOLOGY}`],
    ] as const) {
      const answers = await answersTo(t, (_turn, reply) => {
        reply.say(first);
        reply.say(last);
        throw new Error('no more');
      });
      const said = answers.filter(([type]) => type === 'response.tts').map(([, words]) => words);
      assert.equal(said.join(''), text);
    }
  });

  it('.hangup works without a word', async (t) => {
    assert.deepEqual(await answersTo(t, (_turn, reply) => reply.hangup()), [
      ['response.hangup', undefined],
      ['response.end', undefined],
    ]);
  });

  it('.hangup twice hangs up once', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.hangup({ say: 'Bye.' });
      reply.hangup({ say: 'Bye!' });
    });
    assert.deepEqual(answers, [
      ['response.tts', 'Bye.'],
      ['response.hangup', undefined],
      ['response.end', undefined],
    ]);
  });

  it('.hangup is final: what a generator yields after it is not sent', async (t) => {
    const answers = await answersTo(t, async function* (_turn, reply) {
      yield 'One.';
      reply.hangup();
      yield 'Two.';
    });
    assert.deepEqual(answers, [
      ['response.tts', 'One.'],
      ['response.hangup', undefined],
      ['response.end', undefined],
    ]);
  });

  it('.hangup keeps the goodbye in history', async (t) => {
    assert.deepEqual(await historyAfter(t, (_turn, reply) => reply.hangup({ say: 'Bye.' })), [
      ['user', 'Hello?'],
      ['assistant', 'Bye.', 'completed'],
    ]);
  });

  it('.end stops a generator that would go on', async (t) => {
    const stopped = deferred();
    await answersTo(t, async function* (_turn, reply) {
      try {
        yield 'One.';
        reply.end();
        for (;;) yield 'more';
      } finally {
        stopped.resolve();
      }
    });
    await within(stopped.promise, "the generator's finally");
  });

  it('.data takes any JSON value, in its place among the words', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('A');
      reply.data([{ b: null }, 0, '']);
      reply.say('C');
    });
    assert.deepEqual(answers, [
      ['response.tts', 'A'],
      ['response.data', [{ b: null }, 0, '']],
      ['response.tts', 'C'],
      ['response.end', undefined],
    ]);
  });

  it('.say joins a character that was split over two pieces', async (t) => {
    const answers = await answersTo(t, () => ['Hi \ud83d', '\ude00!']);
    assert.equal(answers.map(([, content]) => content ?? '').join(''), 'Hi 😀!');
  });

  it('.say never sends half a character', async (t) => {
    const answers = await answersTo(t, () => ['Hi \ud83d', '\ude00!']);
    assert.deepEqual(
      answers.filter(([, content]) => Buffer.from(String(content)).toString() !== String(content)),
      [],
    );
  });

  it('.say holds back half a character until data in between was sent', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('\ud83d');
      reply.data(1);
      reply.say('\ude00');
    });
    assert.deepEqual(answers, [
      ['response.data', 1],
      ['response.tts', '😀'],
      ['response.end', undefined],
    ]);
  });

  it('.say replaces half a character that is not followed by the other half', async (t) => {
    assert.deepEqual(await answersTo(t, () => ['Hi', '\ud83d']), [
      ['response.tts', 'Hi'],
      ['response.tts', '\ufffd'],
      ['response.end', undefined],
    ]);
  });

  it('.hangup is not followed by half a character that was held back', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('Bye \ud83d');
      reply.hangup();
    });
    assert.deepEqual(answers.map(([type]) => type).slice(-2), ['response.hangup', 'response.end']);
  });

  it('history holds the character whole', async (t) => {
    assert.deepEqual(await historyAfter(t, () => ['Hi \ud83d', '\ude00!']), [
      ['user', 'Hello?'],
      ['assistant', 'Hi 😀!', 'completed'],
    ]);
  });
});
