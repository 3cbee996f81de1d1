import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';

import { LogOutput } from '../../../src/server/process/log-output.ts';

type Callback = (error?: Error | null) => void;

/** A stdout that accepts output when the test says so. */
class Stdout extends Writable {
  readonly written: string[] = [];
  isRead = true;
  error: Error | undefined;
  readonly #waiting: Callback[] = [];

  constructor() {
    super({ decodeStrings: false });
  }

  read(): void {
    this.isRead = true;
    for (const callback of this.#waiting.splice(0)) callback();
  }

  override _write(text: string, _encoding: BufferEncoding, callback: Callback): void {
    if (this.error === undefined) this.written.push(text);
    if (this.isRead) callback(this.error);
    else this.#waiting.push(callback);
  }

  /** Like Node's own, which carries on after an error. */
  override _destroy(error: Error | null, callback: Callback): void {
    callback(error);
    (this as unknown as { _undestroy(): void })._undestroy();
  }
}

function open(): {
  stdout: Stdout;
  output: LogOutput;
  complaints: string[];
  dropped: () => number;
} {
  const stdout = new Stdout();
  const complaints: string[] = [];
  const output = new LogOutput({ stream: stdout, complain: (reason) => complaints.push(reason) });
  return { stdout, output, complaints, dropped: output.linesDropped };
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const MEBIBYTE = `${'x'.repeat(1_048_575)}\n`;

describe('LogOutput', () => {
  it('writes the lines of one round of the event loop together', async () => {
    const { stdout, output } = open();
    output.write('a\n');
    output.write('b\n');
    assert.deepEqual(stdout.written, []);
    await tick();
    output.write('c\n');
    await tick();
    assert.deepEqual(stdout.written, ['a\nb\n', 'c\n']);
  });

  it('does not wait once it holds more than 64 KiB', () => {
    const { stdout, output } = open();
    output.write('x'.repeat(65_536));
    assert.equal(stdout.written.length, 0);
    output.write('x');
    assert.equal(stdout.written.length, 1);
  });

  it('writes what it holds when it is flushed, and only once', async () => {
    const { stdout, output } = open();
    output.flush();
    output.write('a\n');
    output.flush();
    await tick();
    assert.deepEqual(stdout.written, ['a\n']);
  });

  it('drops lines while 8 MiB are unread, and resumes when they are read', async () => {
    const { stdout, output, complaints, dropped } = open();
    stdout.isRead = false;
    for (let count = 0; count < 8; count++) output.write(MEBIBYTE);
    assert.deepEqual([dropped(), complaints], [0, []]);
    for (let count = 0; count < 3; count++) {
      output.write('a\nb\n');
      output.flush();
    }
    assert.equal(dropped(), 6);
    assert.deepEqual(complaints, [
      'the log cannot be written (it is not read): its lines are dropped, calls continue',
    ]);
    assert.equal(stdout.writableLength, 8 * 1_048_576);
    stdout.read();
    await tick();
    output.write('c\n');
    output.flush();
    await tick();
    assert.deepEqual([stdout.written.at(-1), dropped(), complaints.length], ['c\n', 6, 1]);
  });

  it('drops lines while stdout refuses them, and resumes when it accepts them', async () => {
    const { stdout, output, complaints, dropped } = open();
    stdout.error = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    for (const lines of ['a\n', 'b\nc\n']) {
      output.write(lines);
      output.flush();
      await tick();
    }
    assert.deepEqual(
      [dropped(), complaints],
      [3, ['the log cannot be written (ENOSPC): its lines are dropped, calls continue']],
    );
    stdout.error = undefined;
    output.write('d\n');
    output.flush();
    await tick();
    assert.deepEqual([stdout.written, dropped()], [['d\n'], 3]);
  });
});
