// Turns settings into a server that answers calls: secret, log, agent, app, and the local platform
// outside production.

import type { Agent } from '../agents/agent.ts';
import { echo } from '../agents/built-in/echo.ts';
import type { App } from '../app/app.ts';
import { createApp } from '../app/create-app.ts';
import type { Channel } from '../base/channel.ts';
import type { ConversationStore } from '../conversations/store.ts';
import { openDevelopmentSecret, type DevelopmentSecret } from './development-secret.ts';
import { createLogger, type Logger } from '../log.ts';
import type { SumMetrics } from '../metrics.ts';
import { openModel } from '../models/open-model.ts';
import { defaultModelName } from '../models/providers.ts';
import { SettingsError, type Settings } from '../settings/settings.ts';
import { version } from '../base/version.ts';

export interface OpenServerOptions {
  /** The folder for agent modules and the development secret. */
  readonly directory: string;
  /** Receives the log's lines. */
  readonly write: (lines: string) => void;
  /** Whether a person reads the log. It is pretty then, unless the settings say otherwise. */
  readonly isTerminal: boolean;
  /**
   * Problems of the settings. If there are any, the server does not open; the error also reports
   * the agent's problems.
   */
  readonly problems?: readonly string[];
  /** Set in a process that shares its port with others. */
  readonly worker?: WorkerPlace | undefined;
  /** Used if the settings have no secret. Default: the one of the directory, or a new one. */
  readonly developmentSecret?: DevelopmentSecret | undefined;
}

/** What a worker has of the others. */
export interface WorkerPlace {
  /** How many there are, this one included. Bounds are divided by it. */
  readonly processes: number;
  readonly channel: Channel;
  readonly sumMetrics: SumMetrics;
}

/** A server that is listening. `app.close()` closes it. */
export interface OpenServer {
  readonly app: App;
  /** The given settings, plus the generated secret if there was none. */
  readonly settings: Settings;
  readonly log: Logger;
  /** `http://localhost:8000` */
  readonly origin: string;
  readonly agentName: string;
  /**
   * Where tools find the generated secret. Undefined if the secret was given, or could not be
   * stored.
   */
  readonly secretFile: string | undefined;
}

/**
 * Opens the server. Rejects with a `SettingsError`, an `AgentError` or a `StoreError` for what an
 * operator can fix, and with the system's error if the port cannot be opened.
 */
export async function openServer(given: Settings, options: OpenServerOptions): Promise<OpenServer> {
  const { directory, worker, problems = [] } = options;
  if (problems.length > 0) {
    throw new SettingsError([...problems, ...(await agentProblems(given, directory))]);
  }
  const { settings, secretFile } = withSecret(given, directory, options.developmentSecret);
  const log = openLog(settings, options);
  shareEnvironment(settings);
  const agent = await openAgent(settings.agent ?? defaultAgent(settings), directory);
  const platform = worker === undefined ? await openPlatform(settings) : undefined;
  const store = await openStore(settings, log, directory);
  const app = createApp(settings, agent, {
    log,
    ...worker,
    ...(platform === undefined ? {} : { platform }),
    ...(store === undefined ? {} : { store }),
  });
  if (settings.production && app.model?.isUsable() === false) {
    const remedy = 'set it, or choose an agent without a model (AGENT=echo)';
    throw new SettingsError(app.model.problems().map((problem) => `${problem}; ${remedy}`));
  }
  const { address, port } = await app.listen();
  const origin = `http://${hostOf(address)}:${port}`;
  log.info('listening', {
    url: origin,
    agent: agent.name,
    model: app.model?.name,
    version,
    node: process.versions.node,
  });
  for (const problem of app.model?.problems() ?? []) log.warn('model', { problem });
  return { app, settings, log, origin, agentName: agent.name, secretFile };
}

/** The log of a process of the server. Lines of a worker bear its process id. */
export function openLog(
  { logLevel: level, logFormat, secrets }: Settings,
  {
    write,
    isTerminal,
    worker,
  }: Pick<OpenServerOptions, 'write' | 'isTerminal' | 'worker'>,
): Logger {
  const format = logFormat ?? (isTerminal ? 'pretty' : 'json');
  const log = createLogger({ level, format, secrets, write });
  return worker === undefined ? log : log.child({ worker: process.pid });
}

/** The host of a URL that reaches an address to which the server is bound. */
function hostOf(address: string): string {
  if (address === '0.0.0.0' || address === '::') return 'localhost';
  return address.includes(':') ? `[${address}]` : address;
}

/**
 * `starter` if a model has a key, otherwise `echo`. In production a missing key is an error
 * instead: no caller should hear the echo agent.
 */
function defaultAgent(settings: Settings): string {
  if (settings.production) return 'starter';
  const { environment, models } = settings;
  const names = models.length > 0 ? models : [defaultModelName(environment) ?? []].flat();
  if (names.length === 0) return echo.name;
  return openModel({ names, environment }).model.isUsable() ? 'starter' : echo.name;
}

/** A user's agent reads its variables from `process.env`; they may come from .env. */
function shareEnvironment({ environment }: Settings): void {
  for (const [name, value] of Object.entries(environment)) process.env[name] ||= value;
}

async function agentProblems(settings: Settings, directory: string): Promise<readonly string[]> {
  if (settings.agent === undefined) return [];
  shareEnvironment(settings);
  try {
    await openAgent(settings.agent, directory);
    return [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

/** Everything that other agents need to talk to a model is loaded with them, as it is much code. */
async function openAgent(nameOrPath: string, directory: string): Promise<Agent> {
  if (nameOrPath === echo.name) return echo;
  const { loadAgent } = await import('../app/load-agent.ts');
  return loadAgent(nameOrPath, directory);
}

/** Production loads no file of the local platform, unless it is to serve the playground. */
async function openPlatform({
  production,
  playground,
  agentRoute,
  webhookSecrets: [secret = ''],
}: Settings) {
  if (production && !playground) return undefined;
  const { LocalPlatform } = await import('../platform/local-platform.ts');
  return new LocalPlatform({ agentRoute, secret, playground });
}

/** Undefined for memory: an app does that by itself, and loads nothing of other stores. */
async function openStore(
  settings: Settings,
  log: Logger,
  directory: string,
): Promise<ConversationStore | undefined> {
  if (settings.conversationStore === 'memory') return undefined;
  const stores = await import('../conversations/open-store.ts');
  return stores.openStore(settings, { log, directory });
}

/**
 * Outside production a missing secret is generated; signatures are always checked. `secretFile` is
 * where tools find it.
 */
export function withSecret(
  settings: Settings,
  directory: string,
  developmentSecret?: DevelopmentSecret,
): { readonly settings: Settings; readonly secretFile: string | undefined } {
  if (settings.webhookSecrets.length > 0) return { settings, secretFile: undefined };
  const { secret, file } = developmentSecret ?? openDevelopmentSecret(directory);
  return {
    settings: { ...settings, webhookSecrets: [secret], secrets: [...settings.secrets, secret] },
    secretFile: file,
  };
}
