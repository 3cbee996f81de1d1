import { BoundedMap } from '../base/bounded-map.ts';
import type {
  ChatMessage, ChatModel, ModelDelta, ModelOptions, ToolChoice,
} from '../models/model.ts';
import type { Agent, AgentResources, BoundAgent, MessageTurn } from './agent.ts';
import { checkText, makeForTurn, type PerTurn } from './per-turn.ts';
import { DEFAULT_FILLER, WELCOME_BACK } from './phrases.ts';
import { checkTools } from './tool-list.ts';
import { runToolLoop, streamOptionsOf } from './tool-loop.ts';
import type { Tool } from './tool.ts';

/**
 * An agent that speaks with a model. Functions of the turn run within its clocks; one that fails
 * fails the turn. `T`: the state that its tools may use, where that is another.
 */
export interface ModelAgentDefinition<S = unknown, T = S> extends ModelOptions {
  /** What the model is told about its part: the system message. */
  readonly prompt: PerTurn<string, MessageTurn<S>>;
  /**
   * `provider:model`, comma-separated for fall-backs, or a model of one's own. Default: the
   * settings'.
   */
  readonly model?: PerTurn<string | ChatModel | undefined, MessageTurn<S>>;
  readonly tools?: PerTurn<readonly Tool<T>[], MessageTurn<S>> | undefined;
  /** Of the first request of a turn: the others are the model's own choice. Default `auto`. */
  readonly toolChoice?: ToolChoice | undefined;
  /** Said once when nothing was spoken for `FILLER_AFTER_MS`. Default "One moment." */
  readonly filler?: string | undefined;
  /** False speaks the model's text as it is, Markdown and all. Default true. */
  readonly speakable?: boolean | undefined;
}

/** Names that a function may choose from are opened once, as a model remembers what it learned. */
const MAX_OPENED_MODELS = 100;

/** What a turn speaks with. */
interface Means<S> {
  readonly prompt: string;
  readonly model: ChatModel;
  readonly tools: readonly Tool<S>[];
}

/** The hooks of an agent that speaks with a model, once it has one. */
export function bindModelAgent<S>(
  agent: Agent<S>,
  definition: ModelAgentDefinition<S>,
  resources: AgentResources,
): BoundAgent<S> {
  const { prompt, tools = [], speakable: isSpeakable = true, filler = DEFAULT_FILLER } = definition;
  const { toolChoice, temperature, maxOutputTokens, reasoningEffort, providerOptions } = definition;
  const options = { temperature, maxOutputTokens, reasoningEffort, providerOptions };
  const chosen = definition.model;
  const opened = new BoundedMap<string | ChatModel | undefined, ChatModel>(MAX_OPENED_MODELS);

  function open(model: string | ChatModel | undefined): ChatModel {
    const there = opened.get(model) ?? resources.openModel(model);
    opened.set(model, there);
    return there;
  }

  /** Undefined where the turn chooses it. */
  const model = typeof chosen === 'function' ? undefined : open(chosen);

  async function meansFor(turn: MessageTurn<S>): Promise<Means<S>> {
    const place = `agent "${agent.name}": its`;
    // At the same time: each may ask a service.
    const [madePrompt, madeTools, madeModel] = await Promise.all([
      typeof prompt === 'function' ? makeForTurn(`${place} prompt`, prompt, turn) : prompt,
      typeof tools === 'function' ? makeForTurn(`${place} tools`, tools, turn) : tools,
      typeof chosen === 'function' ? makeForTurn(`${place} model`, chosen, turn) : chosen,
    ]);
    checkTools(agent.name, madeTools, agent.state);
    checkModel(agent.name, madeModel);
    return {
      prompt: checkText(`${place} prompt`, madePrompt),
      tools: madeTools,
      model: open(madeModel),
    };
  }

  /** Undefined where a turn has to be asked. */
  const fixed: Means<S> | undefined =
    typeof prompt === 'function' || typeof tools === 'function' || model === undefined
      ? undefined
      : { prompt, tools, model };

  return {
    ...agent,
    ...(model === undefined ? {} : { model }),
    onSessionStart: (turn, reply) => {
      void model?.warm(turn.signal); // never rejects; the welcome is spoken meanwhile
      if (agent.onSessionStart !== undefined) return agent.onSessionStart(turn, reply);
      return turn.isResumed ? WELCOME_BACK : undefined;
    },
    onMessage: (turn, reply) =>
      withFiller(turn, filler, resources.fillerAfterMs, async () => {
        const means = fixed ?? (await meansFor(turn));
        await runToolLoop(turn, reply, { ...means, isSpeakable, options, toolChoice });
      }),
  };
}

/** Throws a `TypeError` for what is neither a name nor a `ChatModel`. */
export function checkModel(agentName: string, model: unknown): void {
  if (model === undefined || typeof model === 'string' || isChatModel(model)) return;
  const wanted = 'a name, or an object with name, stream, warm, problems and isUsable';
  throw new TypeError(`agent "${agentName}": its model must be ${wanted}`);
}

function isChatModel(value: unknown): value is ChatModel {
  if (typeof value !== 'object' || value === null) return false;
  const { name, stream, warm, problems, isUsable } = value as Partial<ChatModel>;
  const methods: readonly unknown[] = [stream, warm, problems, isUsable];
  return typeof name === 'string' && methods.every((method) => typeof method === 'function');
}

/** Says the filler, once, when `speak` has not begun to speak in time. */
export async function withFiller(
  turn: MessageTurn,
  filler: string,
  afterMs: number,
  speak: () => Promise<void>,
): Promise<void> {
  const timer =
    afterMs === 0 ? undefined : setTimeout(() => turn.journal.sayFiller(filler), afterMs);
  try {
    await speak();
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks a model without tools and without a voice of its own: for agents that set several models to
 * work.
 */
export function streamTexts(
  model: ChatModel,
  messages: readonly ChatMessage[],
  turn: MessageTurn,
): AsyncGenerator<string, void, undefined> {
  const deltas = model.stream(messages, streamOptionsOf(turn));
  const texts = textsOf(deltas, turn);
  const finish = texts.return.bind(texts);
  // A generator takes up `return()` only when its await is over; the model's own ends that await at
  // once.
  texts.return = (value) => {
    void deltas.return();
    return finish(value);
  };
  return texts;
}

async function* textsOf(
  deltas: AsyncIterable<ModelDelta>,
  turn: MessageTurn,
): AsyncGenerator<string, void, undefined> {
  for await (const delta of deltas) {
    if (delta.type === 'text') yield delta.text;
    else if (delta.type === 'usage') turn.journal.noteUsage(delta);
  }
}
