// The server as a process: what it prints, how it reacts to signals, and its exit codes.

import { availableParallelism } from 'node:os';

import { codeOf, messageOf } from '../../base/thrown-values.ts';
import { informationFor, readSettings } from '../settings/load-settings.ts';
import type { ReadSettings } from '../settings/parse-settings.ts';
import { operatorLines } from '../settings/settings.ts';
import { Closing, type RunOptions } from './closing.ts';
import { described, LogOutput, tell } from './log-output.ts';
import { openServer } from './open-server.ts';
import { takeWorkerMark } from './worker-mark.ts';

/**
 * Runs the server until a signal. Sets the exit code, and ends the process once the server is
 * closed.
 */
export async function runServer(argv: readonly string[], options: RunOptions = {}): Promise<void> {
  process.stderr.on('error', () => undefined); // closed, so nobody reads it
  const output = new LogOutput({ stream: process.stdout, complain: tell });
  process.on('exit', output.flush);
  try {
    const information = await informationFor(argv);
    if (information === undefined) await start(argv, output, options);
    else process.stdout.write(information);
  } catch (error) {
    const lines = codeOf(error) === 'EADDRINUSE'
      ? [`${messageOf(error)}; set another PORT (0 picks a free one)`]
      : operatorLines(error);
    // `exit`, because an agent's module may keep the process alive with a timer or a connection.
    process.exitCode = 1;
    process.stderr.write(lines.map(described).join(''), () => process.exit());
  }
}

/** Code needed only for several processes, or only by people, is loaded on demand. */
async function start(
  argv: readonly string[],
  output: LogOutput,
  options: RunOptions,
): Promise<void> {
  if (takeWorkerMark()) {
    const { runWorker } = await import('./worker.ts');
    return runWorker(argv, output);
  }
  const read = readSettings({ argv });
  const { workers } = read.settings;
  const count = workers === 'auto' ? availableParallelism() : workers;
  if (count === 1 || read.problems.length > 0) return serve(read, output, options);
  const { runPrimary } = await import('./primary.ts');
  return runPrimary(read.settings, { argv, count, output, ...options });
}

async function serve(
  { settings: given, problems }: ReadSettings,
  output: LogOutput,
  { accompany, loadPlatform }: RunOptions,
): Promise<void> {
  const greeting = given.production ? undefined : await import('./welcome.ts');
  const server = await openServer(given, {
    directory: process.cwd(),
    write: output.write,
    linesLost: output.linesDropped,
    isTerminal: process.stdout.isTTY,
    problems,
    loadPlatform,
  });
  const { app, log } = server;
  if (greeting !== undefined) process.stderr.write(greeting.welcome(given, server));
  const closing = new Closing({
    log,
    close: () => app.close(),
    fields: () => ({ openTurns: app.runningTurns }),
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, closing.onSignal);
  }
  if (accompany !== undefined) await closing.accompany((ends) => accompany(server, ends), tell);
}
