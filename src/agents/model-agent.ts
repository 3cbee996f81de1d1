import type { ChatMessage, ChatModel, ModelDelta } from '../models/model.ts';
import type { Agent, AgentResources, BoundAgent, MessageTurn } from './agent.ts';
import { DEFAULT_FILLER, WELCOME_BACK } from './phrases.ts';
import { toChatMessages } from './prompt.ts';
import { runToolLoop } from './tool-loop.ts';
import type { Tool } from './tool.ts';

/** `T`: the state that its tools may use, where that is another. */
export interface ModelAgentDefinition<S = unknown, T = S> {
  /** What the model is told about its part: the system message. */
  readonly prompt: string;
  /** `provider:model`, comma-separated for fall-backs. Default: the settings'. */
  readonly model?: string | undefined;
  readonly tools?: readonly Tool<T>[] | undefined;
  /** Said once when nothing was spoken for `FILLER_AFTER_MS`. Default "One moment." */
  readonly filler?: string | undefined;
  /** False speaks the model's text as it is, Markdown and all. Default true. */
  readonly speakable?: boolean | undefined;
}

/** The hooks of an agent that speaks with a model, once it has one. */
export function bindModelAgent<S>(
  agent: Agent<S>,
  definition: ModelAgentDefinition<S>,
  resources: AgentResources,
): BoundAgent<S> {
  const model = resources.openModel(definition.model);
  const { prompt, tools = [], speakable: isSpeakable = true, filler = DEFAULT_FILLER } = definition;
  return {
    ...agent,
    model,
    onSessionStart: (turn, reply) => {
      void model.warm(turn.signal); // never rejects; the welcome is spoken meanwhile
      if (agent.onSessionStart !== undefined) return agent.onSessionStart(turn, reply);
      return turn.isResumed ? WELCOME_BACK : undefined;
    },
    onMessage: (turn, reply) =>
      withFiller(turn, filler, resources.fillerAfterMs, () =>
        runToolLoop(toChatMessages(prompt, turn.history), turn, reply, {
          model,
          tools,
          isSpeakable,
        }),
      ),
  };
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
  const deltas = model.stream(messages, { signal: turn.signal });
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
