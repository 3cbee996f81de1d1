import { BoundedMap } from '../../base/bounded-map.ts';
import { endingAtOnce } from '../../base/end-at-once.ts';
import type {
  ChatMessage, ChatModel, ModelDelta, ModelOptions, ToolChoice,
} from '../models/model.ts';
import { checkTools, MadeTools } from '../tools/tool-list.ts';
import type { Tool } from '../tools/tool.ts';
import type { Agent, AgentResources, BoundAgent, MessageTurn } from './agent.ts';
import { withFiller, type Filler } from './filler.ts';
import { checkText, makeForTurn, type PerTurn } from './per-turn.ts';
import { DEFAULT_FILLER, WELCOME_BACK } from './phrases.ts';
import { runToolLoop, streamOptionsOf, type Means } from './tool-loop.ts';

/**
 * An agent that uses a model. Functions of the turn run within its time limits; if one fails, the
 * turn fails. `T` is the state its tools may use, if that is not the agent's.
 */
export interface ModelAgentDefinition<S = unknown, T = S> extends ModelOptions {
  /** The system message. */
  readonly prompt: PerTurn<string, MessageTurn<S>>;
  /** `provider:model`, comma-separated for fallbacks, or a `ChatModel`. Default: the settings. */
  readonly model?: PerTurn<string | ChatModel | undefined, MessageTurn<S>>;
  readonly tools?: PerTurn<readonly Tool<T>[], MessageTurn<S>> | undefined;
  /** Applies to the first request of a turn; in later ones the model decides. Default `auto`. */
  readonly toolChoice?: ToolChoice | undefined;
  /**
   * Said if nothing has been spoken for `FILLER_AFTER_MS`, again 5 s later, then 10 s after that,
   * and so on. A function may look at the turn's language, and must answer at once. Default "One
   * moment."
   */
  readonly filler?: Filler<S> | undefined;
  /** False speaks the model's text unchanged, including Markdown. Default true. */
  readonly speakable?: boolean | undefined;
  /**
   * True ends a reply that is cut at the model's limit with its last whole sentence. Each sentence
   * but the first then waits until it is whole. Default false.
   */
  readonly wholeSentences?: boolean | undefined;
}

/** Models that a function chooses are opened once, because a model remembers what it learned. */
const MAX_OPENED_MODELS = 100;

/** The agent with hooks that use its model. */
export function bindModelAgent<S>(
  agent: Agent<S>,
  definition: ModelAgentDefinition<S>,
  resources: AgentResources,
): BoundAgent<S> {
  const { replaceTool = (tool) => tool, onOnceTool } = resources;
  const { prompt, speakable: isSpeakable = true, filler = DEFAULT_FILLER } = definition;
  const { wholeSentences = false } = definition;
  const given = definition.tools ?? [];
  const tools = typeof given === 'function' ? given : given.map((tool) => replaceTool(tool));
  const made = new MadeTools(onOnceTool);
  const { toolChoice, temperature, maxOutputTokens, reasoningEffort, providerOptions } = definition;
  const options = { temperature, maxOutputTokens, reasoningEffort, providerOptions };
  const chosen = definition.model;
  const opened = new BoundedMap<string | ChatModel | undefined, ChatModel>(MAX_OPENED_MODELS);

  function open(model: string | ChatModel | undefined): ChatModel {
    const there = opened.get(model) ?? resources.openModel(model);
    opened.set(model, there);
    return there;
  }

  /** Undefined if each turn chooses its model. */
  const model = typeof chosen === 'function' ? undefined : open(chosen);

  async function meansFor(turn: MessageTurn<S>): Promise<Means<S>> {
    const place = `agent "${agent.name}": its`;
    // In parallel, because each may call a service.
    const [madePrompt, madeTools, madeModel] = await Promise.all([
      typeof prompt === 'function' ? makeForTurn(`${place} prompt`, prompt, turn) : prompt,
      typeof tools === 'function' ? makeForTurn(`${place} tools`, tools, turn) : tools,
      typeof chosen === 'function' ? makeForTurn(`${place} model`, chosen, turn) : chosen,
    ]);
    checkTools(agent.name, madeTools, agent.state);
    if (typeof tools === 'function') made.add(madeTools);
    checkModel(agent.name, madeModel);
    return {
      prompt: checkText(`${place} prompt`, madePrompt),
      tools: typeof tools === 'function' ? madeTools.map((tool) => replaceTool(tool)) : madeTools,
      model: open(madeModel),
    };
  }

  /** Undefined if any part depends on the turn. */
  const fixed: Means<S> | undefined =
    typeof prompt === 'function' || typeof tools === 'function' || model === undefined
      ? undefined
      : { prompt, tools, model };

  return {
    ...agent,
    ...(model === undefined ? {} : { model }),
    ...(typeof tools === 'function' ? { madeTools: made.known } : { tools }),
    onSessionStart: (turn, reply) => {
      void model?.warm(turn.signal); // never rejects, and the welcome need not wait
      if (agent.onSessionStart !== undefined) return agent.onSessionStart(turn, reply);
      return turn.isResumed ? WELCOME_BACK : undefined;
    },
    onMessage: (turn, reply) =>
      withFiller(turn, filler, resources.fillerAfterMs, async () => {
        const means = fixed ?? (await meansFor(turn));
        const voiced = { isSpeakable, wholeSentences };
        await runToolLoop(turn, reply, { ...means, ...voiced, options, toolChoice });
      }),
  };
}

/** Throws a `TypeError` if the model is neither a name nor a `ChatModel`. */
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

/**
 * Streams a model's text without tools and without speaking it. For agents that combine several
 * models.
 */
export function streamTexts(
  model: ChatModel,
  messages: readonly ChatMessage[],
  turn: MessageTurn,
): AsyncGenerator<string, void, undefined> {
  const deltas = model.stream(messages, streamOptionsOf(turn));
  return endingAtOnce(textsOf(deltas, turn), () => void deltas.return());
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
