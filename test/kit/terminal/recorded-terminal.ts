// A terminal whose output can be read back, in a directory of its own.

import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';

import { CommandError, type Terminal } from '../../../src/kit/terminal/command.ts';
import { newFolder } from '../../fixtures/folder.ts';

export class RecordedTerminal implements Terminal {
  readonly stdin = new PassThrough();
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  readonly interrupted: AbortSignal;
  readonly #controller = new AbortController();
  #written = { out: '', err: '' };

  constructor(
    environment: Readonly<Record<string, string | undefined>> = {},
    directory = newFolder(),
  ) {
    this.environment = environment;
    this.directory = directory;
    this.interrupted = this.#controller.signal;
    this.stdout = this.#recorder('out');
    this.stderr = this.#recorder('err');
  }

  /** Everything that has been written so far. */
  get out(): string {
    return this.#written.out;
  }

  get err(): string {
    return this.#written.err;
  }

  interrupt(): void {
    this.#controller.abort('SIGINT');
  }

  #recorder(name: 'out' | 'err'): Writable {
    return new Writable({
      decodeStrings: false,
      write: (text: string, _encoding, done) => {
        this.#written[name] += text;
        done();
      },
    });
  }
}

/** The message of the rejection, which must be an error of this type, in one line. */
export async function failureOf(
  promise: Promise<unknown>,
  type: new (...args: never[]) => Error = CommandError,
): Promise<string> {
  const error = await promise.then(() => undefined, (reason: unknown) => reason);
  assert.ok(error instanceof type, String(error instanceof Error ? error.stack : error));
  assert.equal(error.message.includes('\n'), false, error.message);
  return error.message;
}
