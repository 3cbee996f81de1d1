import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { describe, it } from 'node:test';

import {
  interruptedError, paintFor, withBrokenPipes, write,
} from '../../../src/kit/terminal/output.ts';
import { within } from '../../fixtures/app.ts';
import { RecordedTerminal } from './recorded-terminal.ts';

describe('write', () => {
  it('does not wait while there is room', () => {
    assert.equal(write(new PassThrough(), 'text'), undefined);
  });

  it('waits until a full stream accepts more, and then stops listening', async () => {
    const stream = new PassThrough({ highWaterMark: 1 });
    const written = write(stream, 'text');
    assert.ok(written instanceof Promise);
    let hasRoom = false;
    void written.then(() => (hasRoom = true));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(hasRoom, false);
    stream.resume();
    await within(written, 'room');
    assert.deepEqual([stream.listenerCount('drain'), stream.listenerCount('close')], [0, 0]);
  });

  it('does not wait for a stream that is closed, or closes meanwhile', async () => {
    const stream = new Writable({ highWaterMark: 1, write: () => undefined });
    const written = write(stream, 'text');
    stream.destroy();
    await within(Promise.resolve(written), 'the end');
    assert.equal(write(stream, 'more'), undefined);
  });
});

describe('withBrokenPipes', () => {
  for (const name of ['stdout', 'stderr'] as const) {
    it(`interrupts a command whose ${name} nobody is reading, and says so`, () => {
      const terminal = new RecordedTerminal();
      const { interrupted } = withBrokenPipes(terminal);
      assert.equal(interrupted.aborted, false);
      terminal[name].emit('error', new Error('EPIPE'));
      assert.equal(interrupted.aborted, true);
      assert.equal(interruptedError(interrupted).message, 'nobody reads the output any more');
    });
  }

  it('passes on an interruption by the user, with its own reason', () => {
    const terminal = new RecordedTerminal();
    const { interrupted } = withBrokenPipes(terminal);
    terminal.interrupt();
    assert.equal(interrupted.aborted, true);
    assert.equal(interruptedError(interrupted).message, 'interrupted');
  });
});

describe('paintFor', () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true });
  const RED = '\u001b[31mx\u001b[39m';
  for (const [what, stream, environment, painted] of [
    ['on a terminal', terminal, {}, RED],
    ['with an empty NO_COLOR, which counts as not set', terminal, { NO_COLOR: '', TERM: 'xterm' }, RED],
    ['with NO_COLOR', terminal, { NO_COLOR: '1' }, 'x'],
    ['on a terminal without colours', terminal, { TERM: 'dumb' }, 'x'],
    ['to a file', new PassThrough(), {}, 'x'],
  ] as const) {
    it(`writes ${JSON.stringify(painted)} ${what}`, () => {
      assert.equal(paintFor(stream, environment)('red', 'x'), painted);
    });
  }
});
