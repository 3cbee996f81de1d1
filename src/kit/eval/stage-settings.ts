// The settings of an app that only a scenario, or a talk, calls.

import { randomBytes } from 'node:crypto';

import type { Settings } from '../../server/settings/settings.ts';
import type { Scenario } from './scenario.ts';

/** What lets a caller in, on either wire. */
export interface Access {
  readonly secret: string;
  readonly key: string;
}

/** A secret and a key that nobody else knows. */
export function newAccess(): Access {
  const random = (): string => randomBytes(32).toString('base64url');
  return { secret: `whsec_${random()}`, key: random() };
}

/** The settings of a server on a free port of this machine, open to whoever has this access. */
export function privateSettings(settings: Settings, { secret, key }: Access): Settings {
  return {
    ...settings,
    host: '127.0.0.1',
    port: 0,
    webhookSecrets: [secret],
    agentSecrets: {},
    chatCompletionsKeys: [key],
    agentKeys: {},
    secrets: [...settings.secrets, secret, key],
    playground: false,
    logLevel: 'warn',
    drainDelaySeconds: 0,
  };
}

/** The settings, with what the scenario sets. */
export function stageSettings(settings: Settings, scenario: Scenario, access: Access): Settings {
  const { platform } = scenario.origin;
  return {
    ...privateSettings(settings, access),
    production: false,
    chatCompletionsProfile: platform === 'layercode' ? 'generic' : platform,
    conversationStore: 'memory',
    callRecords: undefined,
    workers: 1,
    accessLog: false,
    metrics: false,
    drainCallsSeconds: 0,
    shutdownTimeoutSeconds: 0,
    ...scenario.settings,
  };
}
