import type { Awaitable } from '../../base/awaitable.ts';
import { checkFields } from '../../base/check-fields.ts';
import { isPlain } from '../../base/json-value.ts';
import { checkRedact } from '../redaction/redact.ts';
import { isState, stateMadeBy, type State } from '../state/state.ts';
import { checkTools } from '../tools/tool-list.ts';
import type { Agent, StartTurn } from './agent.ts';
import { bindModelAgent, checkModel, type ModelAgentDefinition } from './model-agent.ts';
import { checkModelOptions } from './model-options.ts';
import { checkText, makeForTurn, type PerTurn } from './per-turn.ts';
import { WELCOME_BACK } from './phrases.ts';

/** Fields that `defineAgent` accepts for every agent. */
interface Shorthands<S = unknown> {
  /**
   * Said when a call begins; a returning caller hears "Welcome back." instead. A function is
   * called in both cases. `onSessionStart` replaces all of this.
   */
  readonly welcome?: PerTurn<string, StartTurn<S>>;
}

/** An agent with hooks of its own. It may define its state in place. */
type HookDefinition<S> = Omit<Agent<NoInfer<S>>, 'state'> & {
  readonly state?: State<S> | (() => S);
};

/**
 * An agent with a prompt for a model. If its state is defined in place, its tools cannot use it.
 */
type PromptDefinition<S> = Omit<Agent<NoInfer<S>>, 'onMessage' | 'state'> & {
  readonly onMessage?: undefined;
} & (
    | ({ readonly state?: State<S> } & ModelAgentDefinition<NoInfer<S>>)
    | ({ readonly state: () => S } & ModelAgentDefinition<NoInfer<S>, unknown>)
  );

/** What `defineAgent` accepts: hooks, or a prompt for a model, and shorthands for either. */
export type AgentDefinition<S = unknown> =
  Shorthands<NoInfer<S>> & (HookDefinition<S> | PromptDefinition<S>);

type TypeName = 'string' | 'number' | 'function' | 'boolean' | 'object';
type Field = keyof Agent | keyof Shorthands | keyof ModelAgentDefinition;
/** A definition before it is checked. */
type Definition = Readonly<Partial<Record<Field, unknown>>>;
type Hook = { [K in keyof Agent]-?: Required<Agent>[K] extends Function ? K : never }[keyof Agent];

const HOOKS = {
  onSessionStart: 'function', onMessage: 'function', onData: 'function',
  onSessionUpdate: 'function', onSessionEnd: 'function', onInterrupted: 'function',
  bind: 'function',
} as const satisfies Readonly<Record<Hook, 'function'>>;

const MODEL_FIELDS = {
  prompt: ['string', 'function'],
  model: ['string', 'object', 'function'],
  tools: ['object', 'function'],
  toolChoice: 'string',
  temperature: 'number',
  maxOutputTokens: 'number',
  reasoningEffort: 'string',
  providerOptions: 'object',
  filler: ['string', 'function'],
  speakable: 'boolean',
  wholeSentences: 'boolean',
} as const satisfies Readonly<Record<keyof ModelAgentDefinition, TypeName | readonly TypeName[]>>;

/** Each field's type, as `typeof` names it. */
const FIELDS = {
  name: 'string', description: 'string', apology: ['string', 'function'],
  limitReached: ['string', 'function'],
  welcome: ['string', 'function'],
  state: ['object', 'function'],
  redact: ['object', 'function', 'string'],
  ...HOOKS,
  ...MODEL_FIELDS,
} as const satisfies Readonly<Record<Field, TypeName | readonly TypeName[]>>;

/**
 * Checks an agent and expands its shorthands. With a `prompt` it uses a model and needs no hooks.
 * A class instance works too: its hooks keep their `this`. Throws a `TypeError` that names a
 * missing, misspelt or wrong field.
 */
export function defineAgent<S = undefined>(definition: AgentDefinition<S>): Agent {
  checkDefinition(definition);
  const { name, description, apology, limitReached, welcome, redact } = definition;
  const { prompt, ...part } = modelPartOf<S>(definition);
  const state = stateOf(definition);
  if (typeof part.tools !== 'function') checkTools(name, part.tools ?? [], state);
  if (typeof part.model !== 'function') checkModel(name, part.model);
  checkModelOptions(name, part);
  checkRedact(`agent "${name}":`, redact);
  const agent = {
    name,
    ...(state === undefined ? {} : { state }),
    ...(redact === undefined ? {} : { redact }),
    ...(description === undefined ? {} : { description }),
    ...(apology === undefined ? {} : { apology }),
    ...(limitReached === undefined ? {} : { limitReached }),
    ...(welcome === undefined ? {} : { onSessionStart: greet(name, welcome) }),
    ...hooksOf<S>(definition),
  };
  if (prompt === undefined) return agent as Agent; // checked: it has onMessage
  const unbound: Agent<S> = {
    ...agent,
    onMessage: () => {
      const reason = 'uses a model, but was not bound to one: serve it with createApp';
      throw new Error(`agent "${name}" ${reason}`);
    },
    bind: (resources) =>
      bindModelAgent(unbound, { ...part, prompt }, resources),
  };
  return unbound;
}

function greet<S>(
  agentName: string,
  welcome: PerTurn<string, StartTurn<S>>,
): (turn: StartTurn<S>) => Awaitable<string> {
  if (typeof welcome === 'string') return ({ isResumed }) => (isResumed ? WELCOME_BACK : welcome);
  const place = `agent "${agentName}": its welcome`;
  return async (turn) => checkText(place, await makeForTurn(place, welcome, turn));
}

/** Reads field by field, because a class instance may have them as getters. */
function modelPartOf<S>(definition: Definition): Partial<ModelAgentDefinition<S>> {
  const names = Object.keys(MODEL_FIELDS) as (keyof ModelAgentDefinition)[];
  return Object.fromEntries(names.map((name) => [name, definition[name]]));
}

/**
 * A function creates a state of the agent's own, which its tools cannot use. To share it with them
 * takes `defineState`.
 */
function stateOf<S>({ name, state }: AgentDefinition<S>): State<S> | undefined {
  if (state === undefined || isState<S>(state)) return state;
  if (typeof state !== 'function') {
    const cure = 'a function that creates it, or the result of defineState';
    throw new TypeError(`agent "${name}": state must be ${cure}`);
  }
  return stateMadeBy(state);
}

/** The hooks. Those of a class instance are bound to it, so they can use its private fields. */
function hooksOf<S>(definition: Definition): Partial<Agent<S>> {
  const hooks: Record<string, unknown> = {};
  for (const hook of Object.keys(HOOKS) as Hook[]) {
    const given = definition[hook] as ((...args: unknown[]) => unknown) | undefined;
    if (given !== undefined) hooks[hook] = isPlain(definition) ? given : given.bind(definition);
  }
  return hooks;
}

function checkDefinition(definition: Definition): void {
  if (typeof definition !== 'object' || definition === null) {
    const given = definition === null ? 'null' : typeof definition;
    throw new TypeError(`an agent must be an object, got ${given}`);
  }
  const { name, onMessage } = definition;
  checkFields(name ? `agent ${JSON.stringify(name)}` : 'an agent', definition, FIELDS);
  for (const [key, expected] of Object.entries(FIELDS)) {
    const value = definition[key as Field];
    const types: readonly string[] = [expected].flat();
    if (value === undefined || types.includes(typeof value)) continue;
    const rule = `must be of type ${types.join(' or ')}`;
    throw new TypeError(`an agent's ${key} ${rule}, got ${typeof value}`);
  }
  if (!name) throw new TypeError('an agent must have a name');
  const hasPrompt = 'prompt' in definition && Boolean(definition.prompt);
  if (onMessage === undefined && !hasPrompt) {
    throw new TypeError(`agent "${name}" must have onMessage, or a prompt for a model`);
  }
  if (onMessage !== undefined && hasPrompt) {
    throw new TypeError(`agent "${name}" has both onMessage and a prompt`);
  }
}
