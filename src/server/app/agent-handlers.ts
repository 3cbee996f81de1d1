// What answers an agent's platforms, over whichever wires they speak.

import { loadedHandler, type Handler } from '../../base/http/compose.ts';
import { BearerKeys, hasCredentials } from '../../core/wires/chat-completions/bearer-keys.ts';
import type {
  Completions, CompletionsOptions,
} from '../../core/wires/chat-completions/completions.ts';
import type { ReportSecrets } from '../../core/wires/chat-completions/reports.ts';
import { SIGNATURE_HEADER } from '../../core/wires/layercode/signature.ts';
import { signed } from '../../core/wires/layercode/signed.ts';
import { webhook } from '../../core/wires/layercode/webhook.ts';
import type { WireOptions } from '../../core/wires/wire-options.ts';
import type { Settings } from '../settings/settings.ts';
import type { AppParts } from './app-parts.ts';
import type { PlatformAgent } from './app-platform.ts';
import type { RoutedAgent } from './routed-agents.ts';

/** The handlers of an agent. Each of them checks who is asking. */
export interface AgentHandlers {
  /** Undefined for an app's only agent. */
  readonly name: string | undefined;
  readonly path: string;
  /** Answers what is posted to the path itself, on either wire. */
  readonly own: Handler;
  /** Whether LayerCode posts there. If not, only platforms that speak Chat Completions do. */
  readonly servesLayercode: boolean;
  /** The other handlers are undefined if they would serve nothing. */
  readonly completions?: Handler;
  readonly models?: Handler;
  readonly reports?: Handler | undefined;
}

export function agentHandlers(routed: RoutedAgent, parts: AppParts): AgentHandlers {
  const { name, path, secrets, keys, metrics } = routed;
  const servesLayercode = secrets.length > 0;
  const shared = sharedByWires(routed, parts);
  const layercode = signed(secrets, webhook(shared, metrics));
  if (keys.length === 0) return { name, path, servesLayercode, own: layercode };
  const { settings, openSessions, loading } = parts;
  const hasReports = takesReports(settings);
  const served = completionsOf({
    ...shared,
    keys: new BearerKeys(keys),
    profile: settings.chatCompletionsProfile,
    openSessions: hasReports ? openSessions : undefined,
  });
  loading.push(served);
  served.catch(() => undefined); // `listen` and the first request reject with it
  const complete = loadedHandler(async () => (await served).complete);
  return {
    name, path, servesLayercode,
    own: servesLayercode ? eitherWire(layercode, complete) : complete,
    completions: complete,
    models: loadedHandler(async () => (await served).models),
    reports: hasReports ? loadedHandler(() => reportsOf(shared, settings)) : undefined,
  };
}

/** Whether platforms that speak Chat Completions can report the ends of calls. */
export function takesReports(
  { vapiWebhookSecrets, elevenLabsWebhookSecrets }: Settings,
): boolean {
  return vapiWebhookSecrets.length + elevenLabsWebhookSecrets.length > 0;
}

/** Chat Completions are loaded only if an agent is served over them. */
async function completionsOf(options: CompletionsOptions): Promise<Completions> {
  const { completions } = await import('../../core/wires/chat-completions/completions.ts');
  return completions(options);
}

async function reportsOf(options: WireOptions, secrets: ReportSecrets): Promise<Handler> {
  const { reports } = await import('../../core/wires/chat-completions/reports.ts');
  return reports(options, secrets);
}

/** The agent as the local platform calls it. */
export function platformAgent(routed: RoutedAgent, parts: AppParts): PlatformAgent {
  const { name, path, agent, secrets: [secret = ''], conversations } = routed;
  const shared = { ...sharedByWires(routed, parts), openSessions: undefined };
  return {
    name: name ?? agent.name, path, secret, conversations,
    completions: (key, profile) =>
      loadedHandler(async () =>
        (await completionsOf({ ...shared, keys: new BearerKeys([key]), profile })).complete),
  };
}

/** What every wire of an agent needs. */
function sharedByWires(
  { name, agent, conversations, turns, onTurnEnd }: RoutedAgent,
  { settings, open, openSessions, records }: AppParts,
): WireOptions {
  return {
    agent, agentName: name ?? agent.name, conversations, turns, open, openSessions, records,
    settings, onTurnEnd,
  };
}

/**
 * Where both wires are served, the credentials decide which of them a request speaks. A request
 * without any gets LayerCode's refusal.
 */
function eitherWire(layercode: Handler, complete: Handler): Handler {
  return (context) => {
    const isSigned = context.header(SIGNATURE_HEADER) !== undefined;
    return isSigned || !hasCredentials(context) ? layercode(context) : complete(context);
  };
}
