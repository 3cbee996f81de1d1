// The server as a process: what it prints, how it reacts to signals, and its exit codes.

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
import { server as serverSettings } from '../settings/table.ts';
import { version } from '../base/version.ts';

/** Something that runs beside the server, such as a tunnel. */
export interface Companion {
  /**
   * Resolves when it ends. A `reason` means that it was not closed: then the server ends too, with
   * exit code 1.
   */
  readonly ended: Promise<{ readonly reason: string | undefined }>;
  /** Called before the server closes. */
  close(): Promise<void>;
}

export interface RunOptions {
  /**
   * Opens the companion once the server listens. `closing` fires if the server ends in the
   * meantime. If this rejects, the server ends with the error's message and exit code 1.
   */
  readonly accompany?: (server: OpenServer, closing: AbortSignal) => Promise<Companion>;
}

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Runs the server until a signal. Sets the exit code, and ends the process once the server is
 * closed.
 */
export async function runServer(
  argv: readonly string[],
  { accompany }: RunOptions = {},
): Promise<void> {
  process.stderr.on('error', () => undefined); // it is closed, so nobody reads it
  const output = new LogOutput({ stream: process.stdout, complain: tell });
  process.on('exit', output.flush);
  try {
    const information = informationFor(argv);
    if (information === undefined) await serve(readSettings({ argv }), output, accompany);
    else process.stdout.write(information);
  } catch (error) {
    // An error that the operator can fix gets one line. Anything else is our bug and keeps its
    // stack.
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
    // `exit`, because an agent's module may keep the process alive with a timer or a connection.
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

/**
 * The first signal closes the server and ends with code 0. A second one ends the process at once.
 */
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

  /** Fires when closing begins. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * Closes the server after an error that nobody awaited, usually one of the agent's. The agent's
   * state is unknown, so no new call may come. Open turns may still finish.
   */
  fail(what: 'uncaught exception' | 'unhandled rejection', error: unknown): void {
    if (isAbort(error)) {
      this.#log.debug('an abort that nobody awaited', { error });
      return;
    }
    this.#log.error(what, { error });
    void this.close({ reason: what }, 1);
  }

  /** The highest exit code that was asked for wins. */
  async close(cause: Readonly<Record<string, string>>, exitCode: number): Promise<void> {
    this.#exitCode = Math.max(this.#exitCode, exitCode);
    if (this.signal.aborted) return;
    this.#controller.abort();
    this.#log.info('closing', { ...cause, openTurns: this.#app.runningTurns });
    try {
      // A companion that did not start has reported its error already.
      await this.companion?.then((companion) => companion.close(), () => undefined);
      await this.#app.close();
      this.#log.info('closed');
      process.exit(this.#exitCode);
    } catch (error) {
      this.#log.error('closing failed', { error });
      process.exit(1);
    }
  }
}

/** In a clone of this package npx finds nothing to run; npm has a script. */
function talkCommand(origin: string): string {
  const url = origin.endsWith(`:${serverSettings.port.fallback}`) ? '' : `--url ${origin}`;
  const isClone = realpathSync(fileURLToPath(packageFile('.'))) === realpathSync(process.cwd());
  if (isClone) return `npm run talk${url === '' ? '' : ` -- ${url}`}`;
  return `npx layercode-microserver talk${url === '' ? '' : ` ${url}`}`;
}

/** For a person, so it goes to stderr: stdout belongs to the log. */
function welcome(
  given: Settings,
  { app, settings, origin, secretFile }: OpenServer,
): string {
  const models = new Set(app.agents.flatMap(({ model }) => model ?? []));
  const modelNames = [...new Set([...models].map(({ name }) => name))];
  const names = app.agents.map(({ name }) => `"${name}"`);
  const agents = `the agent${names.length === 1 ? '' : 's'} ${names.join(', ')}`;
  const speaker = [agents, ...modelNames].join(' and ');
  const paths = app.agents.map(({ path }) => path);
  const ownPaths = paths.filter((path) => path !== settings.agentRoute);
  const lines = [
    '',
    `  layercode-microserver ${version} answers calls with ${speaker}.`,
    '',
    ...(settings.playground ? [`  talk to it  ${origin}/playground`] : []),
    `  ${settings.playground ? 'or here    ' : 'talk to it '} ${talkCommand(origin)}`,
    `  webhook     ${origin}${settings.agentRoute}`,
    ...ownPaths.map((path) => `              ${origin}${path}`),
    `  health      ${origin}/health`,
    '',
  ];
  if (settings.webhookSecrets.length > given.webhookSecrets.length) {
    const where =
      secretFile === undefined
        ? 'for this run only, because no file can be written here'
        : 'kept in .layercode/webhook-secret';
    lines.push(`  LAYERCODE_WEBHOOK_SECRET is not set: a random secret is used, ${where}.`);
  }
  if (given.agent === undefined && given.agents.length === 0 && models.size === 0) {
    const remedy = 'Set OPENAI_API_KEY for an assistant, or AGENT=./my-agent.js.';
    lines.push(`  No model has a key, so the echo agent repeats what it hears. ${remedy}`);
  }
  const problems = new Set([...models].flatMap((model) => model.problems()));
  for (const problem of problems) lines.push(`  ${problem}.`);
  return `${lines.join('\n')}\n\n`;
}
