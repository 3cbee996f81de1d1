// The settings of an app that only a scenario, or a talk, calls.

import { randomBytes } from 'node:crypto';

import { Refusal } from '../../settings/kinds.ts';
import type { Settings } from '../../settings/settings.ts';
import { rows, type Setting } from '../../settings/table.ts';
import type { Scenario } from './scenario.ts';

/** What lets a caller in, on either wire. */
export interface Access {
  readonly secret: string;
  readonly key: string;
}

/** Access that nobody else knows. */
export function newAccess(): Access {
  const random = (): string => randomBytes(32).toString('base64url');
  return { secret: `whsec_${random()}`, key: random() };
}

/** The settings of a server on a free port of this machine, for whoever has this access. */
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

/** The settings, with what the scenario sets. `problemsOfSettings` must have found nothing. */
export function stageSettings(settings: Settings, scenario: Scenario, access: Access): Settings {
  const { platform } = scenario.origin;
  const changed = changesOf(scenario).flatMap(({ name, value }) =>
    value instanceof Refusal ? [] : [[name, value] as const]);
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
    ...Object.fromEntries(changed),
  };
}

/** What is wrong with a scenario's settings, one line each. */
export function problemsOfSettings(scenario: Scenario): readonly string[] {
  return changesOf(scenario).flatMap(({ variable, value }) => {
    if (!(value instanceof Refusal)) return [];
    const line = scenario.steps.findLast(
      (step) => step.name === 'set' && step.variable === variable,
    )?.lineNumber;
    return [`line ${line}: ${variable} ${value.reason}`];
  });
}

interface Change {
  readonly name: string;
  readonly variable: string;
  readonly value: unknown;
}

function changesOf(scenario: Scenario): readonly Change[] {
  const known: readonly (readonly [string, Setting<unknown>])[] = Object.entries(rows);
  return Object.entries(scenario.settings).flatMap(([variable, text]) => {
    const found = known.find(([, row]) => row.variable === variable);
    if (found === undefined) return [];
    const [name, row] = found;
    return [{ name, variable, value: row.parse(text) }];
  });
}
