// From settings to a server that answers calls: secret, log, agent, app, and outside production
// the local platform.

import type { Agent } from '../agents/agent.ts';
import { echo } from '../agents/built-in/echo.ts';
import type { App } from '../app/app.ts';
import { createApp } from '../app/create-app.ts';
import { openDevelopmentSecret } from './development-secret.ts';
import { createLogger, type Logger } from '../log.ts';
import { openModel } from '../models/open-model.ts';
import { defaultModelName } from '../models/providers.ts';
import { SettingsError, type Settings } from '../settings/settings.ts';
import { version } from '../base/version.ts';

export interface OpenServerOptions {
  /** Where agent modules are looked for, and the development secret. */
  readonly directory: string;
  /** Takes the log's lines. */
  readonly write: (lines: string) => void;
  /** Whether a person reads the log: it is pretty then, unless the settings say otherwise. */
  readonly isTerminal: boolean;
  /**
   * What is wrong with the settings. The server does not open, but what is wrong with its agent is
   * added.
   */
  readonly problems?: readonly string[];
}

/** A server that listens. `app.close()` ends it. */
export interface OpenServer {
  readonly app: App;
  /** Those given, with the secret that was made where there was none. */
  readonly settings: Settings;
  readonly log: Logger;
  /** `http://localhost:8000` */
  readonly origin: string;
  readonly agentName: string;
  /**
   * Where tools find the secret that was made; undefined where it was given, or could not be
   * written.
   */
  readonly secretFile: string | undefined;
}

/**
 * Rejects with a `SettingsError` or an `AgentError` for what an operator can mend, and with the
 * system's error when the port cannot be had.
 */
export async function openServer(given: Settings, options: OpenServerOptions): Promise<OpenServer> {
  const { directory, write, isTerminal, problems = [] } = options;
  if (problems.length > 0) {
    throw new SettingsError([...problems, ...(await agentProblems(given, directory))]);
  }
  const { settings, secretFile } = withSecret(given, directory);
  const format = settings.logFormat ?? (isTerminal ? 'pretty' : 'json');
  const log = createLogger({ level: settings.logLevel, format, secrets: settings.secrets, write });
  shareEnvironment(settings);
  const agent = await openAgent(settings.agent ?? defaultAgent(settings), directory);
  const platform = await openPlatform(settings);
  const app = createApp(settings, agent, { log, ...(platform === undefined ? {} : { platform }) });
  if (settings.production && app.model?.isUsable() === false) {
    throw new SettingsError(
      app.model
        .problems()
        .map((problem) => `${problem}; set it, or choose an agent without a model (AGENT=echo)`),
    );
  }
  const { address, port } = await app.listen();
  const origin = `http://${address === '0.0.0.0' || address === '::' ? 'localhost' : address.includes(':') ? `[${address}]` : address}:${port}`;
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

/**
 * `starter` where a model has a key. Without one `echo`, which in production would make a fool of
 * a caller: there it is an error.
 */
function defaultAgent(settings: Settings): string {
  if (settings.production) return 'starter';
  const { environment, models } = settings;
  const names = models.length > 0 ? models : [defaultModelName(environment) ?? []].flat();
  if (names.length === 0) return echo.name;
  return openModel({ names, environment }).model.isUsable() ? 'starter' : echo.name;
}

/**
 * An agent of the user's reads its own variables in the usual place, and .env is where they are
 * kept.
 */
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

/** What the others need to speak with a model, 40 % of the code, is loaded with them. */
async function openAgent(nameOrPath: string, directory: string): Promise<Agent> {
  if (nameOrPath === echo.name) return echo;
  const { loadAgent } = await import('../app/load-agent.ts');
  return loadAgent(nameOrPath, directory);
}

/** Production loads none of its files, unless it is to serve the playground. */
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

/**
 * Outside production a missing secret is made; verification is never off. `secretFile`: where
 * tools find it.
 */
function withSecret(
  settings: Settings,
  directory: string,
): { readonly settings: Settings; readonly secretFile: string | undefined } {
  if (settings.webhookSecrets.length > 0) return { settings, secretFile: undefined };
  const { secret, file } = openDevelopmentSecret(directory);
  return {
    settings: { ...settings, webhookSecrets: [secret], secrets: [...settings.secrets, secret] },
    secretFile: file,
  };
}
