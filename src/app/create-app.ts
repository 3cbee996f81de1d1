import type { Agent } from '../agents/agent.ts';
import { App, noLog, type AppOptions } from './app.ts';
import { bindAgent } from './bind-agent.ts';
import type { Settings } from '../settings/settings.ts';

/**
 * An app that serves `agent`. Throws a `TypeError` if the settings have no webhook secret, as
 * signatures are always verified, or if they name a store and `options` have none: opening one
 * takes time.
 */
export function createApp(settings: Settings, agent: Agent, options: AppOptions = {}): App {
  if (settings.webhookSecrets.length === 0) {
    throw new TypeError('settings.webhookSecrets is empty: set LAYERCODE_WEBHOOK_SECRET');
  }
  if (settings.conversationStore !== 'memory' && options.store === undefined) {
    const remedy = 'pass options.store, such as await openStore(settings, { log })';
    throw new TypeError(`settings.conversationStore is not memory: ${remedy}`);
  }
  const { log = noLog(), fetch } = options;
  return new App(settings, bindAgent(agent, settings, log, fetch), { ...options, log });
}
