import { WELCOME_BACK, type Agent, type StartTurn } from './agent.ts';
import { bindModelAgent, type ModelAgentDefinition } from './model-agent.ts';

interface AgentTexts {
  /** Said when a call begins; a caller who is back hears "Welcome back." instead. `onSessionStart` replaces both. */
  readonly welcome?: string;
}

/** What `defineAgent` takes: hooks, or a prompt for a model, and shorthands for either. */
export type AgentDefinition = AgentTexts & (Agent | (Omit<Agent, 'onMessage'> & ModelAgentDefinition & { readonly onMessage?: undefined }));

const FIELDS: Readonly<Record<string, 'string' | 'function' | 'boolean' | 'object'>> = {
  name: 'string', description: 'string', apology: 'string', welcome: 'string',
  onSessionStart: 'function', onMessage: 'function', onData: 'function', onSessionUpdate: 'function', onSessionEnd: 'function',
  onInterrupted: 'function', bind: 'function',
  prompt: 'string', model: 'string', tools: 'object', filler: 'string', speakable: 'boolean',
};

/**
 * Checks an agent and fills in its shorthands: with a `prompt` it speaks with a model, and needs no hook. Throws a `TypeError` that
 * names a missing, misspelt or wrong field.
 */
export function defineAgent(definition: AgentDefinition): Agent {
  checkDefinition(definition);
  const { welcome, ...rest } = definition;
  const greeting =
    welcome === undefined || rest.onSessionStart !== undefined
      ? {}
      : { onSessionStart: ({ isResumed }: StartTurn): string => (isResumed ? WELCOME_BACK : welcome) };
  if (rest.onMessage !== undefined) return { ...rest, ...greeting };
  const { prompt, model, tools, filler, speakable, onMessage: _, ...hooks } = rest;
  const unbound: Agent = {
    ...hooks,
    ...greeting,
    onMessage: () => {
      throw new Error(`agent "${hooks.name}" speaks with a model and was not bound to one: serve it with createApp`);
    },
    bind: (resources) => bindModelAgent(unbound, { prompt, model, tools, filler, speakable }, resources),
  };
  return unbound;
}

function checkDefinition(definition: AgentDefinition): void {
  if (typeof definition !== 'object' || definition === null) throw new TypeError(`an agent must be an object, got ${String(definition)}`);
  for (const [key, value] of Object.entries(definition) as [string, unknown][]) {
    const expected = Object.hasOwn(FIELDS, key) ? FIELDS[key] : undefined;
    if (expected === undefined) throw new TypeError(`an agent has no field "${key}"; there are ${Object.keys(FIELDS).join(', ')}`);
    if (value !== undefined && typeof value !== expected) throw new TypeError(`an agent's ${key} must be a ${expected}, got ${typeof value}`);
  }
  if (!definition.name) throw new TypeError('an agent must have a name');
  if (definition.onMessage === undefined && !('prompt' in definition && definition.prompt)) {
    throw new TypeError(`agent "${definition.name}" must have onMessage, or a prompt for a model`);
  }
  if (definition.onMessage !== undefined && 'prompt' in definition) throw new TypeError(`agent "${definition.name}" has both onMessage and a prompt`);
}
