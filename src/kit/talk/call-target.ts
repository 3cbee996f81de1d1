// Decides which agent is called, over which wire, and with which secret.

import { isObject } from '../../base/fields.ts';
import type { ProfileName } from '../../core/wires/chat-completions/profiles.ts';
import { readDevelopmentSecret } from '../../server/process/development-secret.ts';
import { keysOfAgent, secretsOfPlainRoute, withAgent } from '../../server/settings/named-agents.ts';
import type { Settings } from '../../server/settings/settings.ts';
import { show } from '../../server/settings/shown-value.ts';
import { newAccess, privateSettings } from '../eval/stage-settings.ts';
import type { CallerFacts } from '../platform/test-wire.ts';
import { commandSettings } from '../terminal/command-settings.ts';
import { CommandError, UsageError, type Terminal } from '../terminal/command.ts';
import type { Flags } from '../terminal/flags.ts';
import { describeLogLine, oneLine } from '../terminal/text.ts';
import type { CompletionsFlags, PlatformBehaviour } from './wire-flags.ts';

export const TARGET_FLAGS = ['--url', '--secret', '--settings-file'] as const;

export type TargetFlags = Flags<(typeof TARGET_FLAGS)[number]>;

/** How an agent is called. */
export interface CallTarget {
  /** The webhook, or where completions are asked for. */
  readonly url: string;
  /** The webhook secret or, for completions, the key. */
  readonly secret: string;
  /** A Chat Completions platform. Undefined: LayerCode calls. */
  readonly platform?: PlatformBehaviour & { readonly profile: ProfileName } | undefined;
  readonly caller?: CallerFacts | undefined;
}

type OpenTarget = CallTarget & {
  /** Closes the server if it is ours. */
  close(): Promise<void>;
};

const HEALTH_TIMEOUT_MS = 500;

/**
 * The webhook that `--url` names, else the server on this machine. `completions` is undefined on
 * LayerCode's wire. Throws a `UsageError` or a `CommandError`; neither contains a secret.
 */
export function findTarget(
  flags: TargetFlags,
  completions: CompletionsFlags | undefined,
  terminal: Terminal,
): CallTarget {
  // Read only when needed: with a URL and a secret, faults in the settings do not matter.
  const settings = settingsOf(flags, terminal);
  const url = findUrl(flags, settings);
  if (completions === undefined)
    return { url, secret: findSecret(flags, settings, terminal.directory) };
  const { key = findKey(settings), profile = settings().chatCompletionsProfile } = completions;
  return { url: completionsUrl(url), secret: key, platform: { ...completions, profile } };
}

/**
 * The agent to call, on a server that is started if `--agent` is given, or if there is no `--url`
 * and no server answers. `tell` gets a line that describes the target, then the warnings and errors
 * of the server's log.
 */
export async function openTarget(
  flags: TargetFlags & Flags<'--agent'>,
  completions: CompletionsFlags | undefined,
  terminal: Terminal,
  tell: (line: string) => void,
): Promise<OpenTarget> {
  const settings = settingsOf(flags, terminal);
  if (flags['--agent'] === undefined) {
    const isGiven = flags['--url'] !== undefined;
    if (isGiven || (await isServing(settings()))) {
      const target = findTarget(flags, completions, terminal);
      if (!isGiven) tell(`Talking with the server at ${localOrigin(settings())}.`);
      return { ...target, close: async () => undefined };
    }
    if (settings().port !== 0) tell(`No server answers at ${localOrigin(settings())}.`);
  }
  const { '--agent': agent } = flags;
  const own = agent === undefined ? settings() : withAgent(settings(), agent);
  const { profile = own.chatCompletionsProfile } = completions ?? {};
  const { secret, key } = newAccess();
  const { origin, close } = await openOwnServer({
    ...privateSettings(own, { secret, key }), chatCompletionsProfile: profile,
  }, terminal.directory, tell);
  const url = origin + own.agentRoute;
  return completions === undefined
    ? { url, secret, close }
    : { url: completionsUrl(url), secret: key, platform: { ...completions, profile }, close };
}

/** A server for this process alone. `tell` gets the same as in `openTarget`. */
async function openOwnServer(
  settings: Settings,
  directory: string,
  tell: (line: string) => void,
): Promise<{ readonly origin: string; readonly close: () => Promise<void> }> {
  const { openServer } = await import('../../server/process/open-server.ts');
  const own: Settings = { ...settings, logFormat: 'json', shutdownTimeoutSeconds: 1 };
  const early: string[] = [];
  let tellLog = (line: string): unknown => early.push(line);
  const write = (lines: string): void => {
    for (const line of lines.trimEnd().split('\n')) tellLog(describeLogLine(line));
  };
  const { app, origin, agentName } = await openServer(own, { directory, write, isTerminal: false });
  const model = app.model === undefined ? '' : ` and ${oneLine(app.model.name, 200)}`;
  const called = oneLine(app.agents[0]?.name ?? agentName, 80); // the first of several
  tell(`Talking with the agent "${called}"${model}, on a server of its own.`);
  tellLog = tell;
  early.forEach(tell);
  return { origin, close: () => app.close() };
}

function settingsOf(flags: TargetFlags, terminal: Terminal): () => Settings {
  let settings: Settings | undefined;
  return () => (settings ??= commandSettings(['--settings-file'], flags, terminal));
}

function localOrigin({ port }: Settings): string {
  if (port === 0) {
    throw new CommandError(
      'PORT is 0, so the server chose a port itself: pass it with --url http://localhost:<port>',
    );
  }
  return `http://localhost:${port}`;
}

function findUrl({ '--url': url }: TargetFlags, settings: () => Settings): string {
  return url === undefined
    ? `${localOrigin(settings())}${settings().agentRoute}`
    : parseWebhookUrl(url, () => settings().agentRoute);
}

/** People enter either form, as on the platforms. */
function completionsUrl(webhookUrl: string): string {
  const url = new URL(webhookUrl);
  const path = url.pathname.replace(/\/$/, '');
  url.pathname = path.endsWith('/chat/completions') ? path : `${path}/chat/completions`;
  return url.href;
}

function parseWebhookUrl(text: string, agentRoute: () => string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const fault =
    url === undefined || !/^https?:$/.test(url.protocol)
      ? 'be an http:// or https:// URL like http://localhost:8000'
      : url.username !== '' || url.password !== ''
        ? 'not contain a user name or password'
        : undefined;
  if (url === undefined || fault !== undefined) {
    throw new UsageError(`--url must ${fault}, got ${oneLine(show(text, []))}`);
  }
  if (url.pathname === '/') url.pathname = agentRoute();
  url.hash = '';
  return url.href;
}

function findSecret(
  { '--secret': flag }: TargetFlags,
  settings: () => Settings,
  directory: string,
): string {
  const secret = flag ?? secretsOfPlainRoute(settings())[0] ?? readDevelopmentSecret(directory);
  if (secret !== undefined) return secret;
  throw new CommandError(
    'no webhook secret: start a server in this directory first, '
      + 'set LAYERCODE_WEBHOOK_SECRET, or pass --secret',
  );
}

/** With several agents, a key of the first one. */
function findKey(settings: () => Settings): string {
  const { agents: [first], chatCompletionsKeys } = settings();
  const [key] = first === undefined ? chatCompletionsKeys : keysOfAgent(settings(), first.name);
  if (key !== undefined) return key;
  throw new CommandError(
    'no key: set CHAT_COMPLETIONS_KEYS as on the server, or pass --key',
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
