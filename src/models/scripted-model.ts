// The model for tests: it answers by script and records what it was shown.

import type {
  ChatMessage, ChatModel, ModelDelta, ModelStreamOptions, ToolDefinition,
} from './model.ts';

/** A tool call by the model. */
export interface ScriptedCall {
  /** The name of the tool. */
  readonly call: string;
  /** Default `{}`. */
  readonly args?: object;
}

/**
 * The answer to one request: a text, a call, or several of them in order. After calls the model is
 * asked again with their results, and gives the next answer of the script.
 */
export type ScriptedAnswer = string | ScriptedCall | readonly (string | ScriptedCall)[];

/** What the model was shown, as it was at the time. */
export interface ScriptedRequest {
  /** The system message comes first. */
  readonly messages: readonly ChatMessage[];
  /** Empty if the model had none to call. */
  readonly tools: readonly ToolDefinition[];
}

export interface ScriptedModel extends ChatModel {
  /** All requests so far, oldest first. */
  readonly requests: readonly ScriptedRequest[];
}

const NAME = 'scripted:model';

/**
 * A model for tests. Each request gets the next answer of the script. A request after the last one
 * fails, and the turn with it. Texts arrive word by word, without delay.
 *
 * Throws a `TypeError` for an invalid answer.
 */
export function scriptedModel(script: readonly ScriptedAnswer[]): ScriptedModel {
  if (!Array.isArray(script)) {
    throw new TypeError(`scriptedModel takes a list of answers, got ${typeof script}`);
  }
  const answers = toAnswers(script);
  const requests: ScriptedRequest[] = [];
  return {
    name: NAME,
    requests,
    async *stream(messages, options) {
      requests.push(snapshot(messages, options));
      const answer = answers[requests.length - 1];
      if (answer === undefined) throw new Error(ranOut(answers.length, messages.at(-1)));
      for (const delta of answer) {
        if (options.signal.aborted) return;
        yield delta;
      }
    },
    warm: () => Promise.resolve(),
    problems: () => [],
    isUsable: () => true,
  };
}

/** A copy, because an agent adds calls and results to the list it passed. */
function snapshot(
  messages: readonly ChatMessage[], { tools = [] }: ModelStreamOptions,
): ScriptedRequest {
  return {
    messages: structuredClone(messages),
    tools: tools.map(({ name, description, parameters }) => ({
      name, description, parameters: structuredClone(parameters),
    })),
  };
}

function ranOut(count: number, last: ChatMessage | undefined): string {
  const answers = count === 1 ? '1 answer' : `${count} answers`;
  const asked = last?.role === 'tool' ? "a tool's result" : "the caller's words";
  return `the script of scriptedModel has ${answers}, and the model was asked once more, `
    + `after ${asked}`;
}

/** The deltas of each answer. Every call gets its own id. */
function toAnswers(script: readonly ScriptedAnswer[]): readonly (readonly ModelDelta[])[] {
  let calls = 0;
  return script.map((answer, index) => {
    const parts: readonly unknown[] = Array.isArray(answer) ? answer : [answer];
    const deltas = parts.flatMap((part): readonly ModelDelta[] => {
      if (typeof part === 'string') return toWords(part);
      const { call, args } = checkCall(part, `answer ${index + 1} of scriptedModel`);
      calls += 1;
      const id = `call_${calls}`;
      return [{ type: 'toolCall', call: { id, name: call, args: JSON.stringify(args) } }];
    });
    return [...deltas, USAGE];
  });
}

const USAGE: ModelDelta = {
  type: 'usage', model: NAME, inputTokens: undefined, outputTokens: undefined, firstDeltaMs: 0,
};

/** Split as vendors do: a blank belongs to the word after it. */
function toWords(text: string): readonly ModelDelta[] {
  return (text.match(/\s*\S+|\s+$/g) ?? []).map((word) => ({ type: 'text', text: word }));
}

function checkCall(part: unknown, place: string): Required<ScriptedCall> {
  const isCall = typeof part === 'object' && part !== null && 'call' in part;
  if (!isCall || typeof part.call !== 'string') {
    throw new TypeError(`${place} must be a text, { call, args } or a list of these`);
  }
  const { call } = part;
  const args: unknown = 'args' in part && part.args !== undefined ? part.args : {};
  const stray = Object.keys(part).find((key) => key !== 'call' && key !== 'args');
  if (stray !== undefined) {
    throw new TypeError(`${place} has a field "${stray}"; a call has call and args`);
  }
  if (typeof args !== 'object' || args === null || Array.isArray(args)) {
    throw new TypeError(`${place}: args must be an object`);
  }
  return { call, args };
}
