// Several agents on one server: their names, and the paths and variables derived from them.

import { nearestName } from '../../base/nearest-name.ts';
import { control, listOf, Refusal, type Kind } from './kinds.ts';

/** An entry of `AGENTS`. */
export interface NamedAgent {
  readonly name: string;
  /** The name of a built-in agent, or a module's path. */
  readonly agent: string;
}

const MAX_NAME_LENGTH = 64;
const SHAPE = 'name=agent, for example sales=./sales.ts; several separated by commas';
/** Completes "a name must …". */
const NAME_RULE =
  `begin with a letter a–z and contain only a–z, 0–9 and -, at most ${MAX_NAME_LENGTH} characters`;

/** Why an agent cannot have this name, as in "must …"; undefined if it can. */
export function faultOfAgentName(name: string): string | undefined {
  const isRight = name.length <= MAX_NAME_LENGTH && /^[a-z][a-z0-9-]*$/.test(name);
  return isRight ? undefined : NAME_RULE;
}

const namedAgent: Kind<NamedAgent> = {
  takes: SHAPE,
  parse(part) {
    const equals = part.indexOf('=');
    const name = part.slice(0, Math.max(0, equals)).trim();
    const agent = part.slice(equals + 1).trim();
    if (equals === -1 || agent === '' || control.test(agent)) {
      return new Refusal(`must be ${SHAPE}`);
    }
    const fault = faultOfAgentName(name);
    return fault === undefined ? { name, agent } : new Refusal(`must have names that ${fault}`);
  },
};

export const namedAgents: Kind<readonly NamedAgent[]> = {
  ...listOf(namedAgent, SHAPE),
  parse(text) {
    const agents = listOf(namedAgent).parse(text);
    if (agents instanceof Refusal) return agents;
    const names = new Set(agents.map(({ name }) => name));
    return names.size < agents.length ? new Refusal('must name each agent once') : agents;
  },
};

/** The path of an agent among several. */
export function agentPath(agentRoute: string, name: string): string {
  return `${agentRoute.replace(/\/$/, '')}/${name}`;
}

/** An agent's name as it appears in the name of a variable. */
function inVariable(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}

const SECRET_PREFIX = 'LAYERCODE_WEBHOOK_SECRET_';

/** The variable of an agent's own webhook secrets. */
export function secretVariableOf(name: string): string {
  return SECRET_PREFIX + inVariable(name);
}

/** The agent whose own webhook secrets a variable holds; undefined for any other variable. */
export function agentOfSecretVariable(variable: string): string | undefined {
  if (!variable.startsWith(SECRET_PREFIX)) return undefined;
  const name = variable.slice(SECRET_PREFIX.length).toLowerCase().replaceAll('_', '-');
  return secretVariableOf(name) === variable ? name : undefined;
}

const KEYS_SUFFIX = '_CHAT_COMPLETIONS_KEYS';

/** The variable of an agent's own keys for Chat Completions. */
export function keysVariableOf(name: string): string {
  return inVariable(name) + KEYS_SUFFIX;
}

/** The agent whose own keys a variable holds; undefined for any other variable. */
export function agentOfKeysVariable(variable: string): string | undefined {
  if (!variable.endsWith(KEYS_SUFFIX)) return undefined;
  const name = variable.slice(0, -KEYS_SUFFIX.length).toLowerCase().replaceAll('_', '-');
  const isRight = faultOfAgentName(name) === undefined && keysVariableOf(name) === variable;
  return isRight ? name : undefined;
}

/** How much longer or shorter the known part of a misspelt variable may be. */
const DIFFERENCES = [-2, -1, 0, 1, 2] as const;

/**
 * The variable of one of these agents that was probably meant by one with the agent's name on the
 * wrong side.
 */
export function agentVariableAcross(
  variable: string,
  agents: readonly NamedAgent[],
): string | undefined {
  for (const { name } of agents) {
    const part = inVariable(name);
    if (SECRET_AFTER.some((secret) => variable === part + secret)) return secretVariableOf(name);
    if (KEYS_BEFORE.some((keys) => variable === keys + part)) return keysVariableOf(name);
  }
  return undefined;
}

const SECRET_AFTER = ['_LAYERCODE_WEBHOOK_SECRET', '_LAYERCODE_WEBHOOK_SECRETS'] as const;
const KEYS_BEFORE = ['CHAT_COMPLETIONS_KEYS_', 'CHAT_COMPLETIONS_KEY_'] as const;

/**
 * The variable of an agent's own keys or secrets that was probably meant by one that is one or two
 * edits away. The agent's name is taken as it is.
 */
export function agentVariableMeant(variable: string): string | undefined {
  const candidates = DIFFERENCES.flatMap((difference) => [
    // If several names fit: the longest before a suffix, the shortest after a prefix.
    variable.slice(0, Math.min(0, -KEYS_SUFFIX.length - difference)) + KEYS_SUFFIX,
    SECRET_PREFIX + variable.slice(SECRET_PREFIX.length - difference),
  ]);
  const possible = candidates.filter((candidate) => {
    const name = agentOfKeysVariable(candidate) ?? agentOfSecretVariable(candidate) ?? '';
    return faultOfAgentName(name) === undefined && !name.endsWith('-');
  });
  return nearestName(variable, possible, 2);
}

interface AgentKeys {
  readonly chatCompletionsKeys: readonly string[];
  readonly agentKeys: Readonly<Record<string, readonly string[]>>;
}

/** The keys for an agent: its own, or the common ones if it has none. */
export function keysOfAgent(
  { chatCompletionsKeys, agentKeys }: AgentKeys,
  name: string,
): readonly string[] {
  return (Object.hasOwn(agentKeys, name) ? agentKeys[name] : undefined) ?? chatCompletionsKeys;
}

interface AgentSecrets {
  readonly webhookSecrets: readonly string[];
  readonly agentSecrets: Readonly<Record<string, readonly string[]>>;
}

/** The secrets that may sign an agent's events: its own, or the common ones if it has none. */
export function secretsOfAgent(
  { webhookSecrets, agentSecrets }: AgentSecrets,
  name: string,
): readonly string[] {
  return (Object.hasOwn(agentSecrets, name) ? agentSecrets[name] : undefined) ?? webhookSecrets;
}

/** The secrets of the plain route. With several agents these are the first one's. */
export function secretsOfPlainRoute(
  settings: AgentSecrets & { readonly agents: readonly NamedAgent[] },
): readonly string[] {
  const [first] = settings.agents;
  return first === undefined ? settings.webhookSecrets : secretsOfAgent(settings, first.name);
}

/** Settings in which this agent is called first: one of `AGENTS`, or else the only agent. */
export function withAgent<
  S extends { readonly agent: string | undefined; readonly agents: readonly NamedAgent[] },
>(settings: S, agent: string): S {
  const named = settings.agents.find(({ name }) => name === agent);
  if (named === undefined) return { ...settings, agent, agents: [] };
  return { ...settings, agents: [named, ...settings.agents.filter((other) => other !== named)] };
}
