#!/usr/bin/env node
// The process: settings, agent, app, listen, signals. `node dist/server.js`

import { loadAgent } from './agents/registry.ts';
import { createApp, type App } from './app.ts';
import { openDevelopmentSecret } from './development-secret.ts';
import { informationFor, loadSettings } from './load-settings.ts';
import { batchLines, createLogger, type Logger } from './log.ts';
import type { ChatModel } from './models/model.ts';
import { openModel } from './models/open-model.ts';
import { defaultModelName } from './models/providers.ts';
import { SettingsError, type Settings } from './settings.ts';
import { version } from './version.ts';

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

const output = batchLines((lines) => process.stdout.write(lines));
process.on('exit', output.flush);

try {
  const information = informationFor();
  if (information === undefined) await serve(loadSettings());
  else process.stdout.write(information);
} catch (error) {
  // What an operator can mend is said in a line each; anything else is a fault of ours and keeps its stack.
  const isExpected = error instanceof SettingsError || (error instanceof Error && 'code' in error);
  const lines = error instanceof SettingsError ? error.problems : [isExpected ? (error as Error).message : String(error instanceof Error ? error.stack : error)];
  for (const line of lines) process.stderr.write(`layercode-microserver: ${line}\n`);
  process.exitCode = 1;
}

async function serve(given: Settings): Promise<void> {
  const { settings, secretFile } = withSecret(given);
  const format = settings.logFormat ?? (process.stdout.isTTY ? 'pretty' : 'json');
  const log = createLogger({ level: settings.logLevel, format, secrets: settings.secrets, write: output.write });
  // An agent of the user's reads its own variables in the usual place, and .env is where they are kept.
  for (const [name, value] of Object.entries(settings.environment)) process.env[name] ||= value;
  const agentName = settings.agent ?? defaultAgent(settings);
  const agent = await loadAgent(agentName);
  const app = createApp(settings, agent, { log });
  if (settings.production && app.model?.isUsable() === false) {
    throw new SettingsError(app.model.problems().map((problem) => `${problem}; set it, or choose an agent without a model (AGENT=echo)`));
  }
  const { address, port } = await app.listen();
  const origin = `http://${address === '0.0.0.0' || address === '::' ? 'localhost' : address.includes(':') ? `[${address}]` : address}:${port}`;
  log.info('listening', { url: origin, agent: agent.name, model: app.model?.name, version, node: process.versions.node });
  for (const problem of app.model?.problems() ?? []) log.warn('model', { problem });
  if (!settings.production) process.stderr.write(welcome(settings, given, origin, agent.name, app.model, secretFile));
  handleSignals(app, log);
}

/** `starter` where a model has a key. Without one `echo`, which in production would make a fool of a caller: there it is an error. */
function defaultAgent(settings: Settings): string {
  const { environment, models } = settings;
  const names = models.length > 0 ? models : [defaultModelName(environment) ?? []].flat();
  if (settings.production || (names.length > 0 && openModel({ names, environment }).model.isUsable())) return 'starter';
  return 'echo';
}

/** Outside production a missing secret is made; verification is never off. `secretFile`: where tools find it. */
function withSecret(settings: Settings): { readonly settings: Settings; readonly secretFile: string | undefined } {
  if (settings.webhookSecrets.length > 0) return { settings, secretFile: undefined };
  const { secret, file } = openDevelopmentSecret(process.cwd());
  return { settings: { ...settings, webhookSecrets: [secret], secrets: [...settings.secrets, secret] }, secretFile: file };
}

/** For a person, and so on stderr: stdout is the log's. */
function welcome(settings: Settings, given: Settings, origin: string, agent: string, model: ChatModel | undefined, secretFile: string | undefined): string {
  const lines = [
    '',
    `  layercode-microserver ${version} answers calls with the agent "${agent}"${model === undefined ? '' : ` and ${model.name}`}.`,
    '',
    `  webhook    ${origin}${settings.agentRoute}`,
    `  health     ${origin}/health`,
    `  try it     npm run turn -- "Hello there"`,
    '',
  ];
  if (given.webhookSecrets.length === 0) {
    const where = secretFile === undefined ? 'for this run only, as no file can be written here' : 'kept in .layercode/webhook-secret';
    lines.push(`  LAYERCODE_WEBHOOK_SECRET is not set: a random secret signs, ${where}.`);
  }
  if (given.agent === undefined && model === undefined) {
    lines.push('  No model has a key, so the echo agent repeats what it hears. Set OPENAI_API_KEY for an assistant, or AGENT=./my-agent.js.');
  }
  for (const problem of model?.problems() ?? []) lines.push(`  ${problem}.`);
  return `${lines.join('\n')}\n\n`;
}

/** The first signal closes politely and ends with code 0, a second one at once. */
function handleSignals(app: App, log: Logger): void {
  let isClosing = false;
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    if (isClosing) process.exit(EXIT_CODES[signal]);
    isClosing = true;
    log.info('closing', { signal, openTurns: app.runningTurns });
    app.close().then(
      () => {
        log.info('closed');
        process.exit(0);
      },
      (error: unknown) => {
        log.error('closing failed', { error });
        process.exit(1);
      },
    );
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('uncaughtException', (error) => {
    // Its state is unknown; calls go on elsewhere. `exit` writes what is held of the log.
    log.error('uncaught exception', { error });
    process.exit(1);
  });
}
