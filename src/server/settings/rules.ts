// Rules between settings. Each value is right by itself, but not together with the others.

import { agentPath, keysVariableOf, secretVariableOf } from './named-agents.ts';
import { MIN_UNGUESSED_LENGTH, shortSecretsIn } from './secrets.ts';
import type { Settings } from './settings.ts';
import { show } from './shown-value.ts';
import { rows } from './table.ts';

/** How problems name a variable: as the flag that was given, or with the file it is in. */
export type NameOf = (variable: string) => string;

/** Yields one line for each way in which it is broken. */
type Rule = (settings: Settings, nameOf: NameOf) => Iterable<string>;

const LASTING_STORE =
  `set ${rows.conversationStore.variable}, for example to sqlite:calls.db (Node 22.13 or later)`;

const RULES: Readonly<Record<string, Rule>> = {
  *routesDiffer(settings, nameOf) {
    const { agentRoute, authorizeRoute, secrets } = settings;
    const authorize = nameOf(rows.authorizeRoute.variable);
    const got = `got ${show(authorizeRoute, secrets)}`;
    if (agentRoute === authorizeRoute) {
      yield `${nameOf(rows.agentRoute.variable)} and ${authorize} must differ, ${got} for both`;
    }
    for (const { name } of settings.agents) {
      if (agentPath(agentRoute, name) !== authorizeRoute) continue;
      yield `${authorize} must not be the route of the agent ${name}, ${got}`;
    }
  },

  *agentsAreGivenOnce(settings, nameOf) {
    if (settings.agent === undefined || settings.agents.length === 0) return;
    const both = `${nameOf(rows.agent.variable)} and ${nameOf(rows.agents.variable)}`;
    yield `${both} must not both be set; look in the scripts of package.json, too`;
  },

  /** Without AGENTS the agents are named in code, which is not known here. */
  *agentSecretsHaveAnAgent(settings, nameOf) {
    const names = settings.agents.map(({ name }) => name);
    if (names.length === 0) return;
    const known = `${nameOf(rows.agents.variable)} has ${names.join(', ')}`;
    const own = [
      ...Object.keys(settings.agentSecrets).map((name) => [name, secretVariableOf(name)] as const),
      ...Object.keys(settings.agentKeys).map((name) => [name, keysVariableOf(name)] as const),
    ];
    for (const [name, variable] of own) {
      if (!names.includes(name)) yield `${nameOf(variable)} belongs to no agent: ${known}`;
    }
  },

  /**
   * One wire is enough. Looks at what was given: a refused secret or key is missing as well, but
   * has already been reported.
   */
  *agentsHaveASecret(settings) {
    const { variable, flags: [flag] } = rows.webhookSecrets;
    const keys = rows.chatCompletionsKeys.variable;
    const isGiven = (name: string): boolean => settings.environment[name] !== undefined;
    if (!settings.production || isGiven(variable) || isGiven(keys)) return;
    const rule = 'must be set in production: '
      + `copy it from the agent's webhook settings in LayerCode, or pass ${flag}; `
      + `for another platform set ${keys}`;
    if (settings.agents.length === 0) yield `${variable} ${rule}`;
    for (const { name } of settings.agents) {
      if (isGiven(secretVariableOf(name)) || isGiven(keysVariableOf(name))) continue;
      yield `${secretVariableOf(name)} or ${variable} ${rule}`;
    }
  },

  /**
   * The echo agent is exempt: people try out containers with it, and with a simple word as the
   * secret. The server warns about that.
   */
  *secretsAreNotGuessed(settings, nameOf) {
    if (!settings.production || settings.agent === 'echo') return;
    for (const variable of shortSecretsIn(settings)) {
      const remedy = `use at least ${MIN_UNGUESSED_LENGTH} characters`;
      const source = 'such as the output of openssl rand -hex 32';
      yield `${nameOf(variable)} is too short for production: ${remedy}, ${source}`;
    }
  },

  *workersShareAStore(settings, nameOf) {
    if (settings.workers === 1 || settings.conversationStore !== 'memory') return;
    const reason = 'conversations in memory belong to one process';
    yield `${nameOf(rows.workers.variable)} must be 1: ${reason}; ${LASTING_STORE}`;
  },

  *workersHaveNoPlayground(settings, nameOf) {
    if (settings.workers === 1 || !settings.playground) return;
    const reason = `its calls live in one process; set ${rows.workers.variable}=1`;
    yield `${nameOf(rows.playground.variable)} must be false with workers: ${reason}`;
  },

  *recordsOutliveTheProcess(settings, nameOf) {
    if (settings.callRecords !== 'store' || settings.conversationStore !== 'memory') return;
    const reason = 'conversations in memory are lost with the process, and records would be too';
    const variable = nameOf(rows.callRecords.variable);
    yield `${variable} must be file:<path>: ${reason}; or ${LASTING_STORE}`;
  },

  *silentCallsAreRemembered(settings, nameOf) {
    const { callRecords, callRecordsIdleSeconds = 0, conversationTtlSeconds } = settings;
    if (callRecords === undefined || callRecordsIdleSeconds < conversationTtlSeconds) return;
    const ttl = rows.conversationTtlSeconds.variable;
    const reason = `after that the conversation is forgotten (${ttl}=${conversationTtlSeconds})`;
    const variable = nameOf(rows.callRecordsIdleSeconds.variable);
    yield `${variable} must be less than ${conversationTtlSeconds}: ${reason}`;
  },

  *capturesAreRecorded(settings, nameOf) {
    if (!settings.captureModelRequests || settings.callRecords !== undefined) return;
    const remedy = `set ${rows.callRecords.variable}, for example to file:calls.jsonl`;
    yield `${nameOf(rows.captureModelRequests.variable)} must be false without records: ${remedy}`;
  },

  *claimsAreKeptByTheStore(settings, nameOf) {
    const { conversationStore, onceClaims } = settings;
    if (onceClaims === undefined || /^rediss?[:+]/.test(conversationStore)) return;
    const variable = nameOf(rows.onceClaims.variable);
    const remedy = `set ${rows.conversationStore.variable} to the URL of a Redis`;
    if (onceClaims.replicas > 0)
      yield `${variable} must not be replicated: only a Redis has replicas; ${remedy}`;
    if (onceClaims.isOnDisk && conversationStore === 'memory')
      yield `${variable} must be stored: conversations in memory are on no disk; ${remedy}`;
  },

  *callsToWaitForAreInMemory(settings, nameOf) {
    if (settings.drainCallsSeconds === 0 || settings.conversationStore === 'memory') return;
    const store = rows.conversationStore.variable;
    const reason = `calls continue in any process that uses ${store}`;
    yield `${nameOf(rows.drainCallsSeconds.variable)} must be 0: ${reason}`;
  },
};

/** One line for each way in which the settings break a rule. */
export function brokenRules(settings: Settings, nameOf: NameOf): readonly string[] {
  return Object.values(RULES).flatMap((rule) => [...rule(settings, nameOf)]);
}
