import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { WholeLines } from '../../../src/server/process/whole-lines.ts';
import { asMessage, messageIn, Outbox } from '../../../src/server/process/worker-messages.ts';
import { shareOf } from '../../../src/server/process/worker.ts';
import { isInspected } from '../../../src/server/process/workers.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';

describe('shareOf', () => {
  it('divides the limits of a process, rounded up, and nothing else', () => {
    const settings = parseSettings({ MAX_STREAMS: '10', AUTHORIZE_PER_MINUTE: '1' }, []);
    const divided = { maxStreams: 3, maxConversations: 2_500, maxHistoryCharacters: 16_777_216 };
    assert.deepEqual(shareOf(settings, 4), { ...settings, ...divided, authorizePerMinute: 1 });
  });
});

describe('WholeLines', () => {
  it('passes on whole lines, however they arrive, and the last one at the end', () => {
    const text = 'one\ntwo\n\nthree';
    for (let cut = 0; cut <= text.length; cut++) {
      const given: string[] = [];
      const lines = new WholeLines((some) => given.push(some));
      lines.push(text.slice(0, cut));
      lines.push(text.slice(cut));
      lines.end();
      assert.equal(given.join(''), `${text}\n`);
      assert.ok(given.every((some) => some.endsWith('\n')), JSON.stringify(given));
    }
  });

  it('passes on all whole lines in one call', () => {
    const given: string[] = [];
    const lines = new WholeLines((some) => given.push(some));
    lines.push('one\ntwo\nthr');
    assert.deepEqual(given, ['one\ntwo\n']);
  });

  it('breaks a line that is too long, and passes on each part once', () => {
    const given: string[] = [];
    const lines = new WholeLines((some) => given.push(some));
    lines.push('x'.repeat(65_536));
    assert.deepEqual(given, []);
    lines.push('x');
    lines.push('y\n');
    lines.end();
    assert.deepEqual(given, [`${'x'.repeat(65_537)}\n`, 'y\n']);
  });
});

describe('messageIn', () => {
  it('finds a message of ours, but none in what an agent may send', () => {
    assert.deepEqual(messageIn(asMessage({ type: 'measure' })), { type: 'measure' });
    for (const other of [undefined, null, 'measure', { type: 'measure' }, []])
      assert.equal(messageIn(other), undefined);
  });
});

describe('Outbox', () => {
  it('drops texts while 8 MiB are unread, and nothing else', async () => {
    const sent: object[] = [];
    const read: (() => void)[] = [];
    const outbox = new Outbox((message, callback) => {
      sent.push(message);
      read.push(callback);
    });
    const text = 'x'.repeat(4_194_304);
    for (let count = 0; count < 3; count++) outbox.sendText({ type: 'text', text });
    assert.equal(sent.length, 2);
    const measure = outbox.send({ type: 'measure' });
    assert.equal(sent.length, 3);
    for (const callback of read.splice(0)) callback();
    await measure;
    outbox.sendText({ type: 'text', text });
    assert.equal(sent.length, 4);
  });
});

// Workers that a debugger holds up must not be killed.
describe('isInspected', () => {
  for (const [execArgv, nodeOptions, expected] of [
    [[], undefined, false], [['--import', 'tsx'], '--max-old-space-size=100', false],
    [['--inspect'], undefined, true], [['--inspect-brk=0'], undefined, true],
    [[], '--enable-source-maps --inspect=127.0.0.1:0', true],
  ] as const)
    it(`is ${expected} for [${execArgv.join(' ')}] with NODE_OPTIONS=${nodeOptions}`, () =>
      assert.equal(isInspected(execArgv, nodeOptions), expected));
});
