#!/usr/bin/env node
// `layercode-microserver <command>`: finds the command, and turns its outcome into an exit code.

import { version } from './base/version.ts';
import {
  CommandError, EXIT, UsageError, type Command, type Terminal,
} from './kit/terminal/command.ts';
import { operatorLines } from './server/settings/settings.ts';

/** Each command is loaded only when it is used. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./kit/commands/run.ts')).run,
  talk: async () => (await import('./kit/commands/talk.ts')).talk,
  turn: async () => (await import('./kit/commands/turn.ts')).turn,
  'list-agents': async () => (await import('./kit/commands/list-agents.ts')).listAgentsCommand,
  init: async () => (await import('./kit/commands/init.ts')).init,
  webhook: async () => (await import('./kit/commands/webhook.ts')).webhookCommand,
  eval: async () => (await import('./kit/commands/eval.ts')).evalCommand,
  calls: async () => (await import('./kit/commands/calls.ts')).calls,
};

const PROGRAM = 'layercode-microserver';
const HELP_FLAGS = ['--help', '-h'];

process.exitCode = await main(process.argv.slice(2));

async function main([name, ...argv]: readonly string[]): Promise<number> {
  try {
    if (name === 'help' && argv[0] !== undefined && Object.hasOwn(COMMANDS, argv[0])) {
      return await main([argv[0], '--help']);
    }
    if (name === undefined || name === 'help' || HELP_FLAGS.includes(name)) {
      (name === undefined ? process.stderr : process.stdout).write(await overview());
      return name === undefined ? EXIT.USAGE : EXIT.OK;
    }
    if (name === '--version') {
      process.stdout.write(`${version}\n`);
      return EXIT.OK;
    }
    const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (load === undefined) throw new UsageError(unknown(name));
    const command = await load();
    const words = argv.indexOf('--'); // anything after this is not a flag
    const flags = argv.slice(0, words === -1 ? argv.length : words);
    if (flags.some((argument) => HELP_FLAGS.includes(argument))) {
      process.stdout.write(command.help);
      return EXIT.OK;
    }
    return await command.run(argv, name === 'run' ? ownTerminal() : interruptibleTerminal());
  } catch (error) {
    if (error instanceof UsageError) {
      const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? `${name} ` : '';
      return fail([...error.message.split('\n'), `see ${PROGRAM} ${command}--help`], EXIT.USAGE);
    }
    const lines = error instanceof CommandError ? [error.message] : operatorLines(error);
    return fail(lines, EXIT.FAILED);
  }
}

function fail(lines: readonly string[], exitCode: number): number {
  for (const line of lines) process.stderr.write(`${PROGRAM}: ${line}\n`);
  return exitCode;
}

function unknown(name: string): string {
  const names = Object.keys(COMMANDS).join(', ');
  if (name.startsWith('-')) {
    return `a command comes first: ${PROGRAM} run ${name} …; commands are ${names}`;
  }
  return `${JSON.stringify(name.slice(0, 40))} is not a command; commands are ${names}`;
}

async function overview(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    `Usage: ${PROGRAM} <command> [arguments]`,
    commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n'),
    `${PROGRAM} <command> --help describes a command; run --help lists the settings.\n`
      + '--version prints the version.\n'
      + 'Exit codes: 0 success; 1 failure; 2 wrong arguments.',
  ].join('\n\n') + '\n';
}

/** For a command that handles signals itself. */
function ownTerminal(interrupted = new AbortController().signal): Terminal {
  const { stdin, stdout, stderr, env } = process;
  return { stdin, stdout, stderr, environment: env, directory: process.cwd(), interrupted };
}

/** The first signal interrupts the command; a second one ends the process. */
function interruptibleTerminal(): Terminal {
  // `| head` has read enough.
  process.stdout.on('error', (error: Error & { code?: string }) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT.OK);
  });
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143);
      controller.abort(signal);
    });
  }
  return ownTerminal(controller.signal);
}
