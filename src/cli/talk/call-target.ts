// Decides which webhook is called, and with which secret.

import { randomBytes } from 'node:crypto';

import { isObject } from '../../base/fields.ts';
import { readDevelopmentSecret } from '../../process/development-secret.ts';
import { loadSettings } from '../../settings/load-settings.ts';
import { secretsOfPlainRoute } from '../../settings/named-agents.ts';
import type { Settings } from '../../settings/settings.ts';
import { show } from '../../settings/shown-value.ts';
import { CommandError, UsageError, type Terminal } from '../terminal/command.ts';
import { oneLine } from '../terminal/one-line.ts';

export const TARGET_FLAGS = ['--url', '--secret', '--settings-file'] as const;

export type TargetFlags = Readonly<Partial<Record<(typeof TARGET_FLAGS)[number], string>>>;

export interface CallTarget {
  readonly webhookUrl: string;
  readonly secret: string;
}

export interface OpenTarget extends CallTarget {
  /** Closes the server if it is ours. */
  close(): Promise<void>;
}

export interface OpenTargetOptions extends TargetFlags {
  /** Starts a server of our own with this agent. */
  readonly '--agent'?: string;
}

const HEALTH_TIMEOUT_MS = 500;

/**
 * The webhook that `--url` names, else the server on this machine. Throws a `UsageError` or a
 * `CommandError`; neither contains a secret.
 */
export function findTarget(flags: TargetFlags, terminal: Terminal): CallTarget {
  const settings = settingsOf(flags, terminal);
  const url = flags['--url'];
  return {
    webhookUrl:
      url === undefined
        ? `${localOrigin(settings())}${settings().agentRoute}`
        : parseWebhookUrl(url, () => settings().agentRoute),
    secret: findSecret(flags, settings, terminal.directory),
  };
}

/**
 * Like `findTarget`, but starts a server if `--agent` is given, or if there is no `--url` and no
 * server answers. `tell` gets a line that describes the target, then the warnings and errors of the
 * server's log.
 */
export async function openTarget(
  flags: OpenTargetOptions,
  terminal: Terminal,
  tell: (line: string) => void,
): Promise<OpenTarget> {
  const settings = settingsOf(flags, terminal);
  if (flags['--agent'] === undefined) {
    const isGiven = flags['--url'] !== undefined;
    if (isGiven || (await isServing(settings()))) {
      const target = findTarget(flags, terminal);
      if (!isGiven) tell(`Talking with the server at ${localOrigin(settings())}.`);
      return { ...target, close: async () => undefined };
    }
    if (settings().port !== 0) tell(`No server answers at ${localOrigin(settings())}.`);
  }
  const { '--agent': agent } = flags;
  return openOwnServer(
    agent === undefined ? settings() : { ...settings(), agent, agents: [] },
    terminal.directory,
    tell,
  );
}

/** Settings are read only when needed: with a URL and a secret, faults in them do not matter. */
function settingsOf(
  { '--settings-file': file }: TargetFlags,
  { environment, directory }: Terminal,
): () => Settings {
  let settings: Settings | undefined;
  return () => (settings ??= loadSettings({
    argv: file === undefined ? [] : ['--settings-file', file],
    // Production would require a secret, which may come from a flag.
    environment: { ...environment, NODE_ENV: 'development' },
    directory,
  }));
}

function localOrigin({ port }: Settings): string {
  if (port === 0) {
    throw new CommandError(
      'PORT is 0, so the server chose a port itself: pass it with --url http://localhost:<port>',
    );
  }
  return `http://localhost:${port}`;
}

function parseWebhookUrl(given: string, agentRoute: () => string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const fault =
    url === undefined || !/^https?:$/.test(url.protocol)
      ? 'be an http:// or https:// URL like http://localhost:8000'
      : url.username !== '' || url.password !== ''
        ? 'not contain a user name or password'
        : undefined;
  if (url === undefined || fault !== undefined) {
    throw new UsageError(`--url must ${fault}, got ${oneLine(show(given, []))}`);
  }
  if (url.pathname === '/') url.pathname = agentRoute();
  url.hash = '';
  return url.href;
}

function findSecret(
  { '--secret': given }: TargetFlags,
  settings: () => Settings,
  directory: string,
): string {
  const secret = given ?? secretsOfPlainRoute(settings())[0] ?? readDevelopmentSecret(directory);
  if (secret !== undefined) return secret;
  throw new CommandError(
    'no webhook secret: start a server in this directory first, '
      + 'set LAYERCODE_WEBHOOK_SECRET, or pass --secret',
  );
}

async function isServing(settings: Settings): Promise<boolean> {
  if (settings.port === 0) return false;
  try {
    const response = await fetch(`${localOrigin(settings)}/health`, {
      signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
      redirect: 'error',
    });
    const health = await response.json();
    return isObject(health) && health['status'] === 'healthy';
  } catch {
    return false; // nobody answers, or another program does
  }
}

/** A server for this process alone: on a free port, with a secret that nobody else knows. */
async function openOwnServer(
  settings: Settings,
  directory: string,
  tell: (line: string) => void,
): Promise<OpenTarget> {
  const { openServer } = await import('../../process/open-server.ts');
  const secret = `whsec_${randomBytes(32).toString('base64url')}`;
  const own: Settings = {
    ...settings,
    host: '127.0.0.1',
    port: 0,
    webhookSecrets: [secret],
    agentSecrets: {},
    secrets: [...settings.secrets, secret],
    logLevel: 'warn',
    logFormat: 'json',
    playground: false,
    drainDelaySeconds: 0,
    shutdownTimeoutSeconds: 1,
  };
  const early: string[] = [];
  let tellLog = (line: string): unknown => early.push(line);
  const write = (lines: string): void => {
    for (const line of lines.trimEnd().split('\n')) tellLog(describeLogLine(line));
  };
  const { app, origin, agentName } = await openServer(own, { directory, write, isTerminal: false });
  const model = app.model === undefined ? '' : ` and ${oneLine(app.model.name, 200)}`;
  tell(`Talking with the agent "${oneLine(agentName, 80)}"${model}, on a server of its own.`);
  tellLog = tell;
  early.forEach(tell);
  return { webhookUrl: `${origin}${own.agentRoute}`, secret, close: () => app.close() };
}

/** A log record as one line: the message, and what went wrong. */
function describeLogLine(line: string): string {
  const { msg, error, problem } = JSON.parse(line) as {
    msg: string;
    error?: { message?: string };
    problem?: string;
  };
  return oneLine([msg, error?.message ?? problem].filter((part) => part !== undefined).join(': '));
}
