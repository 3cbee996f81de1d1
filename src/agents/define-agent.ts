import type { Agent, StartTurn } from './agent.ts';
import { bindModelAgent, type ModelAgentDefinition } from './model-agent.ts';
import { WELCOME_BACK } from './phrases.ts';
import type { Tool } from './tool.ts';

interface AgentTexts {
  /**
   * Said when a call begins; a caller who is back hears "Welcome back." instead. `onSessionStart`
   * replaces both.
   */
  readonly welcome?: string;
}

/** What `defineAgent` takes: hooks, or a prompt for a model, and shorthands for either. */
export type AgentDefinition = AgentTexts &
  (Agent | (Omit<Agent, 'onMessage'> & ModelAgentDefinition & { readonly onMessage?: undefined }));

type Field = keyof Agent | keyof AgentTexts | keyof ModelAgentDefinition;
type Hook = { [K in keyof Agent]-?: Required<Agent>[K] extends Function ? K : never }[keyof Agent];

const HOOKS = {
  onSessionStart: 'function', onMessage: 'function', onData: 'function',
  onSessionUpdate: 'function', onSessionEnd: 'function', onInterrupted: 'function',
  bind: 'function',
} as const satisfies Readonly<Record<Hook, 'function'>>;

/** Each field's type, as `typeof` names it. */
const FIELDS = {
  name: 'string', description: 'string', apology: 'string', welcome: 'string',
  ...HOOKS,
  prompt: 'string', model: 'string', tools: 'object', filler: 'string', speakable: 'boolean',
} as const satisfies Readonly<Record<Field, 'string' | 'function' | 'boolean' | 'object'>>;

/**
 * Checks an agent and fills in its shorthands. With a `prompt` it speaks with a model, and needs no
 * hook. An instance of a class works too: its hooks are called on it. Throws a `TypeError` that
 * names a missing, misspelt or wrong field.
 */
export function defineAgent(definition: AgentDefinition): Agent {
  checkDefinition(definition);
  const { name, description, apology, welcome } = definition;
  const { prompt, model, tools, filler, speakable } = definition as Partial<ModelAgentDefinition>;
  const agent = {
    name,
    ...(description === undefined ? {} : { description }),
    ...(apology === undefined ? {} : { apology }),
    ...(welcome === undefined ? {} : { onSessionStart: greet(welcome) }),
    ...hooksOf(definition),
  };
  if (prompt === undefined) return agent as Agent; // with onMessage, as was checked
  const unbound: Agent = {
    ...agent,
    onMessage: () => {
      const reason = 'speaks with a model and was not bound to one: serve it with createApp';
      throw new Error(`agent "${name}" ${reason}`);
    },
    bind: (resources) =>
      bindModelAgent(unbound, { prompt, model, tools, filler, speakable }, resources),
  };
  return unbound;
}

function greet(welcome: string): (turn: StartTurn) => string {
  return ({ isResumed }) => (isResumed ? WELCOME_BACK : welcome);
}

/** Those of a class are bound to its instance, whose private state they may use. */
function hooksOf(definition: AgentDefinition): Partial<Agent> {
  const hooks: Record<string, unknown> = {};
  for (const hook of Object.keys(HOOKS) as Hook[]) {
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
    const given = definition === null ? 'null' : `a ${typeof definition}`;
    throw new TypeError(`an agent must be an object, got ${given}`);
  }
  for (const key of Object.keys(definition)) {
    // A class may keep whatever it likes beside its hooks.
    if (!isPlain(definition) || Object.hasOwn(FIELDS, key)) continue;
    const fields = Object.keys(FIELDS).join(', ');
    throw new TypeError(`an agent has no field "${key}"; there are ${fields}`);
  }
  for (const [key, expected] of Object.entries(FIELDS)) {
    const value: unknown = definition[key as keyof AgentDefinition];
    if (value === undefined || typeof value === expected) continue;
    throw new TypeError(`an agent's ${key} must be a ${expected}, got ${typeof value}`);
  }
  const { name, onMessage } = definition;
  if (!name) throw new TypeError('an agent must have a name');
  const hasPrompt = 'prompt' in definition && Boolean(definition.prompt);
  checkTools(definition);
  if (onMessage === undefined && !hasPrompt) {
    throw new TypeError(`agent "${name}" must have onMessage, or a prompt for a model`);
  }
  if (onMessage !== undefined && hasPrompt) {
    throw new TypeError(`agent "${name}" has both onMessage and a prompt`);
  }
}

/** Two of one name are refused by vendors, in every turn. */
function checkTools(definition: AgentDefinition): void {
  const { name, tools = [] } = definition as Partial<ModelAgentDefinition> & AgentDefinition;
  if (!Array.isArray(tools)) throw new TypeError(`agent "${name}": tools must be a list`);
  const names = new Set<unknown>();
  for (const given of tools as readonly (Partial<Tool> | null | undefined)[]) {
    if (typeof given?.check !== 'function') {
      throw new TypeError(`agent "${name}": each of its tools must be made with tool({ … })`);
    }
    if (names.has(given.name)) {
      throw new TypeError(`agent "${name}" has two tools named "${given.name}"`);
    }
    names.add(given.name);
  }
}
