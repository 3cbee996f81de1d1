import { WELCOME_BACK, type Agent, type StartTurn } from './agent.ts';
import { bindModelAgent, type ModelAgentDefinition } from './model-agent.ts';

interface AgentTexts {
  /** Said when a call begins; a caller who is back hears "Welcome back." instead. `onSessionStart` replaces both. */
  readonly welcome?: string;
}

/** What `defineAgent` takes: hooks, or a prompt for a model, and shorthands for either. */
export type AgentDefinition = AgentTexts & (Agent | (Omit<Agent, 'onMessage'> & ModelAgentDefinition & { readonly onMessage?: undefined }));

const HOOKS = ['onSessionStart', 'onMessage', 'onData', 'onSessionUpdate', 'onSessionEnd', 'onInterrupted', 'bind'] as const;
const FIELDS: Readonly<Record<string, 'string' | 'function' | 'boolean' | 'object'>> = {
  name: 'string', description: 'string', apology: 'string', welcome: 'string',
  ...Object.fromEntries(HOOKS.map((hook) => [hook, 'function'] as const)),
  prompt: 'string', model: 'string', tools: 'object', filler: 'string', speakable: 'boolean',
};

/**
 * Checks an agent and fills in its shorthands: with a `prompt` it speaks with a model, and needs no hook. An instance of a class will
 * do, its hooks are called on it. Throws a `TypeError` that names a missing, misspelt or wrong field.
 */
export function defineAgent(definition: AgentDefinition): Agent {
  checkDefinition(definition);
  const { name, description, apology, welcome, prompt, model, tools, filler, speakable } = definition as Partial<ModelAgentDefinition> & AgentDefinition;
  const agent = {
    name,
    ...(description === undefined ? {} : { description }),
    ...(apology === undefined ? {} : { apology }),
    ...(welcome === undefined ? {} : { onSessionStart: ({ isResumed }: StartTurn): string => (isResumed ? WELCOME_BACK : welcome) }),
    ...hooksOf(definition),
  };
  if (prompt === undefined) return agent as Agent; // with onMessage, as was checked
  const unbound: Agent = {
    ...agent,
    onMessage: () => {
      throw new Error(`agent "${name}" speaks with a model and was not bound to one: serve it with createApp`);
    },
    bind: (resources) => bindModelAgent(unbound, { prompt, model, tools, filler, speakable }, resources),
  };
  return unbound;
}

/** Those of a class are bound to its instance, whose private state they may use. */
function hooksOf(definition: AgentDefinition): Partial<Agent> {
  const hooks: Record<string, unknown> = {};
  for (const hook of HOOKS) {
    const given = definition[hook] as ((...args: unknown[]) => unknown) | undefined;
    if (given !== undefined) hooks[hook] = isPlain(definition) ? given : given.bind(definition);
  }
  return hooks;
}

function isPlain(definition: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(definition);
  return prototype === Object.prototype || prototype === null;
}

function checkDefinition(definition: AgentDefinition): void {
  if (typeof definition !== 'object' || definition === null) {
    throw new TypeError(`an agent must be an object, got ${definition === null ? 'null' : `a ${typeof definition}`}`);
  }
  for (const key of Object.keys(definition)) {
    // A class may keep whatever it likes beside its hooks.
    if (isPlain(definition) && !Object.hasOwn(FIELDS, key)) throw new TypeError(`an agent has no field "${key}"; there are ${Object.keys(FIELDS).join(', ')}`);
  }
  for (const [key, expected] of Object.entries(FIELDS)) {
    const value: unknown = definition[key as keyof AgentDefinition];
    if (value !== undefined && typeof value !== expected) throw new TypeError(`an agent's ${key} must be a ${expected}, got ${typeof value}`);
  }
  if (!definition.name) throw new TypeError('an agent must have a name');
  const hasPrompt = 'prompt' in definition && Boolean(definition.prompt);
  if (definition.onMessage === undefined && !hasPrompt) throw new TypeError(`agent "${definition.name}" must have onMessage, or a prompt for a model`);
  if (definition.onMessage !== undefined && hasPrompt) throw new TypeError(`agent "${definition.name}" has both onMessage and a prompt`);
}
