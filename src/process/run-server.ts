// The server as a process: what it prints, what signals do, and how it exits.

import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { App } from '../app/app.ts';
import { isAbort } from '../base/abort.ts';
import { packageFile } from '../base/package-files.ts';
import { informationFor, readSettings } from '../settings/load-settings.ts';
import type { Logger } from '../log.ts';
import { LogOutput } from './log-output.ts';
import { openServer, type OpenServer } from './open-server.ts';
import { SettingsError, type ReadSettings, type Settings } from '../settings/settings.ts';
import { version } from '../base/version.ts';

/** What runs beside the server. */
export interface Companion {
  /**
   * Resolves when it is over, with a reason when it was not closed: the server ends then, with
   * exit code 1.
   */
  readonly ended: Promise<{ readonly reason: string | undefined }>;
  /** Called before the server closes. */
  close(): Promise<void>;
}

export interface RunOptions {
  /**
   * Opens what runs beside the server, once it listens. `closing` fires when the server ends
   * meanwhile. When it rejects, the server ends with its message and exit code 1.
   */
  readonly accompany?: (server: OpenServer, closing: AbortSignal) => Promise<Companion>;
}

/** Where `talk` looks without being told. */
const DEFAULT_PORT = 8_000;

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Runs until a signal. Sets the process's exit code, and ends the process when the server is
 * closed.
 */
export async function runServer(
  argv: readonly string[],
  { accompany }: RunOptions = {},
): Promise<void> {
  process.stderr.on('error', () => undefined); // closed: nobody is left to be told
  const output = new LogOutput({ stream: process.stdout, complain: tell });
  process.on('exit', output.flush);
  try {
    const information = informationFor(argv);
    if (information === undefined) await serve(readSettings({ argv }), output, accompany);
    else process.stdout.write(information);
  } catch (error) {
    // What an operator can mend is said in a line each; anything else is a fault of ours and keeps
    // its stack.
    const isExpected =
      error instanceof SettingsError || (error instanceof Error && 'code' in error);
    const unexpected = String(error instanceof Error ? error.stack : error);
    let lines =
      error instanceof SettingsError
        ? error.problems
        : [isExpected ? (error as Error).message : unexpected];
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
      lines = [`${error.message}; set another PORT, 0 picks a free one`];
    }
    // An agent's module may hold the process open, with a timer or a connection.
    process.exitCode = 1;
    process.stderr.write(lines.map(described).join(''), () => process.exit());
  }
}

function described(line: string): string {
  return `layercode-microserver: ${line}\n`;
}

function tell(line: string): void {
  process.stderr.write(described(line));
}

async function serve(
  { settings: given, problems }: ReadSettings,
  output: LogOutput,
  accompany: RunOptions['accompany'],
): Promise<void> {
  const server = await openServer(given, {
    directory: process.cwd(),
    write: output.write,
    isTerminal: process.stdout.isTTY,
    problems,
  });
  const { app, log, settings } = server;
  output.addTo(app.metrics);
  if (!settings.production) process.stderr.write(welcome(given, server));
  const closing = new Closing(app, log);
  process.on('uncaughtException', (error) => closing.fail('uncaught exception', error));
  process.on('unhandledRejection', (reason) => closing.fail('unhandled rejection', reason));
  if (accompany === undefined) return;
  closing.companion = accompany(server, closing.signal);
  const reason = await closing.companion.then(
    async (companion) => (await companion.ended).reason,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  if (reason === undefined || closing.signal.aborted) return;
  tell(reason);
  await closing.close({ reason }, 1);
}

/** The first signal closes politely and ends with code 0, a second one at once. */
class Closing {
  companion: Promise<Companion> | undefined;
  readonly #app: App;
  readonly #log: Logger;
  readonly #controller = new AbortController();
  #exitCode = 0;

  constructor(app: App, log: Logger) {
    this.#app = app;
    this.#log = log;
    const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
      if (this.signal.aborted) process.exit(EXIT_CODES[signal]);
      void this.close({ signal }, 0);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  }

  /** Fires when it begins. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * Ends the server for an error that nobody awaited, mostly one of the agent's. Its state is
   * unknown, so no new call may come; but those that are open need not be cut off, and may finish.
   */
  fail(what: 'uncaught exception' | 'unhandled rejection', error: unknown): void {
    if (isAbort(error)) {
      this.#log.debug('an abort that nobody awaited', { error });
      return;
    }
    this.#log.error(what, { error });
    void this.close({ reason: what }, 1);
  }

  /** The exit code is the greatest that was asked for. */
  async close(cause: Readonly<Record<string, string>>, exitCode: number): Promise<void> {
    this.#exitCode = Math.max(this.#exitCode, exitCode);
    if (this.signal.aborted) return;
    this.#controller.abort();
    this.#log.info('closing', { ...cause, openTurns: this.#app.runningTurns });
    try {
      await this.companion?.then(
        (companion) => companion.close(),
        () => undefined,
      ); // one that did not start has said so
      await this.#app.close();
      this.#log.info('closed');
      process.exit(this.#exitCode);
    } catch (error) {
      this.#log.error('closing failed', { error });
      process.exit(1);
    }
  }
}

/** In a clone of this package npx finds nothing to run, but npm has a script. */
function talkCommand(origin: string): string {
  const url = origin.endsWith(`:${DEFAULT_PORT}`) ? '' : `--url ${origin}`;
  const isClone = realpathSync(fileURLToPath(packageFile('.'))) === realpathSync(process.cwd());
  if (isClone) return `npm run talk${url === '' ? '' : ` -- ${url}`}`;
  return `npx layercode-microserver talk${url === '' ? '' : ` ${url}`}`;
}

/** For a person, and so on stderr: stdout is the log's. */
function welcome(
  given: Settings,
  { app, settings, origin, agentName, secretFile }: OpenServer,
): string {
  const { model } = app;
  const lines = [
    '',
    `  layercode-microserver ${version} answers calls with the agent "${agentName}"${model === undefined ? '' : ` and ${model.name}`}.`,
    '',
    ...(settings.playground ? [`  talk to it  ${origin}/playground`] : []),
    `  ${settings.playground ? 'or here    ' : 'talk to it '} ${talkCommand(origin)}`,
    `  webhook     ${origin}${settings.agentRoute}`,
    `  health      ${origin}/health`,
    '',
  ];
  if (given.webhookSecrets.length === 0) {
    const where =
      secretFile === undefined
        ? 'for this run only, as no file can be written here'
        : 'kept in .layercode/webhook-secret';
    lines.push(`  LAYERCODE_WEBHOOK_SECRET is not set: a random secret signs, ${where}.`);
  }
  if (given.agent === undefined && model === undefined) {
    lines.push(
      '  No model has a key, so the echo agent repeats what it hears. Set OPENAI_API_KEY for an assistant, or AGENT=./my-agent.js.',
    );
  }
  for (const problem of model?.problems() ?? []) lines.push(`  ${problem}.`);
  return `${lines.join('\n')}\n\n`;
}
