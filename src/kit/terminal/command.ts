import type { Readable, Writable } from 'node:stream';

import type { Environment } from '../../base/environment.ts';

/** One command of the command line: `layercode-microserver <name> …`. */
export interface Command {
  readonly name: string;
  /** One line in the list of commands: at most 70 characters, ending in a full stop. */
  readonly summary: string;
  /** What `<name> --help` prints: lines of at most 100 characters, ending in a line break. */
  readonly help: string;
  /**
   * Resolves with the exit code. Throws a `UsageError` for wrong arguments. Is not called for
   * `--help`.
   */
  run(argv: readonly string[], terminal: Terminal): Promise<number>;
}

/** What a command sees of its process. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly environment: Environment;
  readonly directory: string;
  /**
   * Fires on the first SIGINT or SIGTERM, with the signal's name as the reason. A second one ends
   * the process.
   */
  readonly interrupted: AbortSignal;
}

/**
 * `FAILED`: the command was run and failed. `USAGE`: its arguments were wrong, so it was not run.
 */
export const EXIT = { OK: 0, FAILED: 1, USAGE: 2 } as const;

/** The arguments are wrong. The message names the wrong one, or wrong files on a line each. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * A failure that is not a bug of this program. The message is one line, printed without a stack.
 */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}
