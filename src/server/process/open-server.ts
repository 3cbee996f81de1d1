// Turns settings into a server that answers calls: secret, log, agent, app, and the local platform
// outside production.

import { createLogger, type Logger } from '../../base/log.ts';
import { messageOf } from '../../base/thrown-values.ts';
import { version } from '../../base/version.ts';
import type { ConversationStore } from '../../core/conversations/store.ts';
import type { AppOptions } from '../app/app-parts.ts';
import type { AppPlatform } from '../app/app-platform.ts';
import type { App } from '../app/app.ts';
import { assembleApp, isAgent } from '../app/assemble-app.ts';
import { loadCode } from '../app/code-on-demand.ts';
import { openAgents } from '../app/open-agents.ts';
import type { CallRecords } from '../records/call-recorder.ts';
import { secretsOfAgent } from '../settings/named-agents.ts';
import { shortSecretsIn } from '../settings/secrets.ts';
import { SettingsError, type Settings } from '../settings/settings.ts';
import { rows } from '../settings/table.ts';
import type { DevelopmentSecret } from './development-secret.ts';

export interface OpenServerOptions {
  /** The folder for agent modules and the development secret. */
  readonly directory: string;
  /** Receives the log's lines. */
  readonly write: (lines: string) => void;
  /** Lines that `write` took and lost. Default: none. */
  readonly linesLost?: (() => number) | undefined;
  /** Whether a person reads the log. Then the log is pretty, unless the settings say otherwise. */
  readonly isTerminal: boolean;
  /**
   * Problems with the settings. If there are any, the server does not open; the error also reports
   * the agent's problems.
   */
  readonly problems?: readonly string[];
  /** Set in a process that shares its port with others. */
  readonly worker?: Required<Pick<AppOptions, 'processes' | 'channel' | 'sumMetrics'>> | undefined;
  /** Used where the settings lack a secret. Default: the directory's, or a new one. */
  readonly missingSecret?: DevelopmentSecret | undefined;
  /**
   * Loads the stand-in for LayerCode's cloud. Called outside production, or for the playground.
   * Default: none.
   */
  readonly loadPlatform?: (() => Promise<PlatformModule>) | undefined;
}

/** The file of the kit that has the local platform. */
interface PlatformModule {
  readonly LocalPlatform: new (options: { readonly playground: boolean }) => AppPlatform;
}

/** A server that is listening. `app.close()` closes it. */
export interface OpenServer {
  readonly app: App;
  /** The given settings, plus the generated secret if there was none. */
  readonly settings: Settings;
  readonly log: Logger;
  /** `http://localhost:8000` */
  readonly origin: string;
  /** For example `starter`. The names of several agents are joined by commas. */
  readonly agentName: string;
  /**
   * Where tools find the generated secret. Undefined if the secret was given, or could not be
   * stored.
   */
  readonly secretFile: string | undefined;
}

/**
 * Opens the server. Rejects with a `SettingsError`, an `AgentError` or a `StoreError` for problems
 * an operator can fix, and with the system's error if the port cannot be opened.
 */
export async function openServer(given: Settings, options: OpenServerOptions): Promise<OpenServer> {
  const { directory, worker, problems = [] } = options;
  if (problems.length > 0) {
    throw new SettingsError([...problems, ...(await agentProblems(given, directory))]);
  }
  const missingSecret = await openMissingSecret(given, directory, options.missingSecret);
  const settings = withSecret(given, missingSecret);
  const log = openLog(settings, options);
  const agent = await openAgents(settings, directory);
  const platform = worker === undefined ? await openPlatform(settings, options) : undefined;
  const store = await openStore(settings, log, directory);
  const records = await openRecords(settings, log, directory);
  const appOptions: AppOptions = {
    log,
    ...worker,
    ...(records === undefined ? {} : { records }),
    ...(platform === undefined ? {} : { platform }),
    ...(store === undefined ? {} : { store }),
    // Reaches the other workers and those on other machines.
    ...(store?.channel === undefined ? {} : { channel: store.channel }),
  };
  const agents = isAgent(agent) ? [agent] : Object.values(agent);
  const code = await loadCode(settings, agents, { ...appOptions });
  const app = assembleApp(settings, agent, appOptions, code);
  const models = [...new Set(app.agents.flatMap(({ model }) => model ?? []))];
  const unusable = settings.production ? models.filter((model) => !model.isUsable()) : [];
  if (unusable.length > 0) {
    const remedy = 'set it, or choose an agent without a model (AGENT=echo)';
    const missing = new Set(unusable.flatMap((model) => model.problems()));
    throw new SettingsError([...missing].map((problem) => `${problem}; ${remedy}`));
  }
  const { address, port } = await app.listen();
  const origin = `http://${hostOf(address)}:${port}`;
  const agentName = app.agents.map(({ name }) => name).join(',');
  log.info('listening', {
    url: origin,
    agent: agentName,
    model: [...new Set(models.map(({ name }) => name))].join(',') || undefined,
    version,
    node: process.versions.node,
  });
  const problemsOfModels = new Set(models.flatMap((model) => model.problems()));
  for (const problem of problemsOfModels) log.warn('model', { problem });
  // With any agent other than `echo`, the settings refuse short secrets.
  if (settings.production) {
    for (const variable of shortSecretsIn(settings)) log.warn('a secret is short', { variable });
  }
  for (const variable of withoutKeys(settings))
    log.warn('Chat Completions is off until CHAT_COMPLETIONS_KEYS is set', { variable });
  return { app, settings, log, origin, agentName, secretFile: missingSecret?.file };
}

/**
 * Settings that ask for Chat Completions although no agent has a key: all its requests get a 404.
 */
function withoutKeys({ agentKeys, chatCompletionsKeys, environment }: Settings): readonly string[] {
  if (chatCompletionsKeys.length > 0 || Object.keys(agentKeys).length > 0) return [];
  const { chatCompletionsProfile, vapiWebhookSecrets, elevenLabsWebhookSecrets } = rows;
  return [chatCompletionsProfile, vapiWebhookSecrets, elevenLabsWebhookSecrets]
    .map(({ variable }) => variable)
    .filter((variable) => environment[variable] !== undefined)
    .slice(0, 1);
}

type LogTarget = Pick<OpenServerOptions, 'write' | 'linesLost' | 'isTerminal' | 'worker'>;

/** The log of a server process. A worker's lines carry its process id. */
export function openLog(
  { logLevel: level, logFormat, secrets }: Settings,
  { write, linesLost, isTerminal, worker }: LogTarget,
): Logger {
  const format = logFormat ?? (isTerminal ? 'pretty' : 'json');
  const log = createLogger({ level, format, secrets, write, linesLost });
  return worker === undefined ? log : log.child({ worker: process.pid });
}

/** A URL host that reaches the address the server is bound to. */
function hostOf(address: string): string {
  if (address === '0.0.0.0' || address === '::') return 'localhost';
  return address.includes(':') ? `[${address}]` : address;
}

async function agentProblems(settings: Settings, directory: string): Promise<readonly string[]> {
  const { agent, agents } = settings;
  if (agent === undefined && agents.length === 0) return [];
  try {
    await openAgents(settings, directory);
    return [];
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    return [messageOf(error)];
  }
}

/** Production loads no file of the local platform unless it serves the playground. */
async function openPlatform(
  { production, playground }: Settings,
  { loadPlatform }: OpenServerOptions,
): Promise<AppPlatform | undefined> {
  if (production && !playground) return undefined;
  const kit = await loadPlatform?.();
  return kit && new kit.LocalPlatform({ playground });
}

/** Undefined for memory: the app has that store built in, and loads no code for the others. */
async function openStore(
  settings: Settings,
  log: Logger,
  directory: string,
): Promise<ConversationStore | undefined> {
  if (settings.conversationStore === 'memory') return undefined;
  const stores = await import('../../core/conversations/stores/open-store.ts');
  return stores.openStore(settings, { log, directory });
}

async function openRecords(
  settings: Settings,
  log: Logger,
  directory: string,
): Promise<CallRecords | undefined> {
  if (settings.callRecords === undefined) return undefined;
  const records = await import('../records/open-call-records.ts');
  return records.openCallRecords(settings, { log, directory });
}

/**
 * Generates a missing secret outside production, because signatures are always checked. Undefined
 * if none is missing, and in production, where an agent without one speaks another wire. `known` is
 * used instead of the directory's secret.
 */
export async function openMissingSecret(
  settings: Settings,
  directory: string,
  known?: DevelopmentSecret,
): Promise<DevelopmentSecret | undefined> {
  const { agents, production, webhookSecrets } = settings;
  if (production) return undefined;
  const isMissing = agents.length === 0
    ? webhookSecrets.length === 0
    : agents.some(({ name }) => secretsOfAgent(settings, name).length === 0);
  if (!isMissing) return undefined;
  if (known !== undefined) return known;
  const { openDevelopmentSecret } = await import('./development-secret.ts');
  return openDevelopmentSecret(directory);
}

/** The settings, completed with the missing secret. */
export function withSecret(settings: Settings, missing: DevelopmentSecret | undefined): Settings {
  if (missing === undefined) return settings;
  const { secret } = missing;
  return { ...settings, webhookSecrets: [secret], secrets: [...settings.secrets, secret] };
}
