import type { Readable, Writable } from 'node:stream';

/** One word of the command line: `layercode-microserver <name> …`. */
export interface Command {
  readonly name: string;
  /** One line of the list of commands, at most 70 characters, with a full stop. */
  readonly summary: string;
  /** What `layercode-microserver <name> --help` prints, with a line break at its end and no line over 100 characters. */
  readonly help: string;
  /** Resolves with the exit code. Throws a `UsageError` for arguments it cannot take; `--help` never gets here. */
  run(argv: readonly string[], terminal: Terminal): Promise<number>;
}

/** What a command sees of the process that it runs in. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The working directory. */
  readonly directory: string;
  /** Fires at the first SIGINT or SIGTERM, with its name as the reason. A second one ends the process. */
  readonly interrupted: AbortSignal;
}

/** `FAILED`: it was done, and came to nothing. `USAGE`: it was not even tried. */
export const EXIT = { OK: 0, FAILED: 1, USAGE: 2 } as const;

/** The arguments are wrong. The message names the one that is, and is one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What was asked for cannot be had, through no fault of this program: said in one line, without a stack. Exit code 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}
