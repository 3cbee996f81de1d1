// The model for tests: it answers by script and records what it was shown.

import { aborted } from '../base/abort.ts';
import { endingAtOnce } from '../base/end-at-once.ts';
import { atMost } from '../base/time-limit.ts';
import { failureOfResponse } from '../core/models/failure.ts';
import {
  ModelError, type ChatMessage, type ChatModel, type ModelDelta, type ModelStreamOptions,
  type ModelTool, type RequestFailure,
} from '../core/models/model.ts';
import { SCRIPTED_MODEL } from '../core/models/prices.ts';
import { requestFailureOf, RequestReport } from '../core/models/request-report.ts';
import {
  IS_RETRYABLE, parseAnswer, type ScriptedAnswer, type ScriptedFailure, type ScriptedPart,
} from './scripted-answer.ts';

/** What the model was shown, as it was at the time. */
export interface ScriptedRequest {
  /** The system message comes first. */
  readonly messages: readonly ChatMessage[];
  /** Empty if the model had no tools to call. */
  readonly tools: readonly ModelTool[];
}

/** Answers according to what the model was asked. If it throws, the turn fails. */
export type ScriptedFunction = (request: ScriptedRequest) => ScriptedAnswer;

/** The answers in order, one per request, or a function that answers every request. */
export type Script = readonly (ScriptedAnswer | ScriptedFunction)[] | ScriptedFunction;

/** Made by `scriptedModel`. */
export interface ScriptedModel extends ChatModel {
  /** All requests so far, oldest first. */
  readonly requests: readonly ScriptedRequest[];
}

const ACCESS = { name: SCRIPTED_MODEL, keyNames: ['SCRIPTED_API_KEY'], key: 'scripted' };

/**
 * A model for tests. Each request gets the next answer of the script. A request after the last one
 * fails, and the turn with it. Texts arrive word by word, without delay unless the script waits.
 *
 * Throws a `TypeError` for an invalid answer. An invalid answer from a function fails the turn.
 */
export function scriptedModel(script: Script): ScriptedModel {
  const partsFor = compile(script);
  const requests: ScriptedRequest[] = [];
  let calls = 0;

  function deltasOf(part: ScriptedPart): readonly ModelDelta[] {
    if (typeof part === 'string') return toWords(part);
    if (!('call' in part)) return [];
    const call = { id: `call_${++calls}`, name: part.call, args: JSON.stringify(part.args) };
    return [{ type: 'toolCall', call }];
  }

  async function* answer(
    messages: readonly ChatMessage[],
    options: ModelStreamOptions,
    end: AbortController,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    const request = snapshot(messages, options);
    requests.push(request);
    const { signal } = options;
    if (signal.aborted) return;
    const abort = (): void => end.abort();
    signal.addEventListener('abort', abort, { once: true });
    const ended = aborted(end.signal); // one listener for all waits
    const report = new RequestReport(SCRIPTED_MODEL, options, { usage: NO_TOKENS });
    let firstDeltaAt: number | undefined;
    let isCut = false;
    let failure: RequestFailure = 'interrupted'; // until something else is known
    let cause: unknown;
    try {
      if (options.onRequest !== undefined) report.sent(bodyOf(request));
      for (const part of partsFor(request, requests.length)) {
        if (typeof part === 'object' && 'waitMs' in part)
          await atMost(part.waitMs, ended);
        if (end.signal.aborted) return;
        if (typeof part === 'object' && 'fail' in part) throw toError(part.fail);
        isCut = typeof part === 'object' && 'cut' in part;
        for (const delta of deltasOf(part)) {
          firstDeltaAt ??= performance.now();
          report.begun(firstDeltaAt);
          report.answered(delta);
          yield delta;
          if (end.signal.aborted) return;
        }
      }
      const firstDeltaMs = (firstDeltaAt ?? performance.now()) - report.sentAtMs;
      const used = {
        type: 'usage', model: SCRIPTED_MODEL, ...NO_TOKENS, firstDeltaMs,
        ...(isCut ? { finishReason: 'length' } : {}),
      } as const;
      report.completed(used);
      yield used;
    } catch (error) {
      cause = error;
      failure = requestFailureOf(error);
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
      report.failed(failure, cause);
    }
  }

  return {
    name: SCRIPTED_MODEL,
    requests,
    stream(messages, options) {
      const end = new AbortController();
      return endingAtOnce(answer(messages, options, end), () => end.abort());
    },
    warm: () => Promise.resolve(),
    problems: () => [],
    isUsable: () => true,
  };
}

/** `count` is the number of the request, from 1. */
type PartsFor = (request: ScriptedRequest, count: number) => readonly ScriptedPart[];

function compile(script: Script): PartsFor {
  const subject = (count: number): string => `answer ${count} of scriptedModel`;
  if (typeof script === 'function')
    return (request, count) => parseAnswer(script(request), subject(count));
  if (!Array.isArray(script)) {
    const rule = 'a list of answers or a function';
    throw new TypeError(`scriptedModel takes ${rule}, got ${typeof script}`);
  }
  const answers = script.map((answer: ScriptedAnswer | ScriptedFunction, index) =>
    typeof answer === 'function' ? answer : parseAnswer(answer, subject(index + 1)));
  return (request, count) => {
    const answer = answers[count - 1];
    if (answer === undefined) throw new Error(ranOut(answers.length, request.messages.at(-1)));
    return typeof answer === 'function' ? parseAnswer(answer(request), subject(count)) : answer;
  };
}

/** A copy, because an agent adds calls and results to the list it passed. */
function snapshot(
  messages: readonly ChatMessage[],
  { tools = [] }: ModelStreamOptions,
): ScriptedRequest {
  const offered = tools.map(({ name, description, parameters }) => (
    { name, description, parameters }
  ));
  return structuredClone({ messages, tools: offered });
}

function ranOut(count: number, last: ChatMessage | undefined): string {
  const answers = count === 1 ? '1 answer' : `${count} answers`;
  const asked = last?.role === 'tool' ? "a tool's result" : "the caller's words";
  return `the script of scriptedModel has ${answers}, and the model was asked once more, `
    + `after ${asked}`;
}

/** Splits text as vendors do: a blank belongs to the word after it. */
export function toWords(text: string): readonly ModelDelta[] {
  return (text.match(/\s*\S+|\s+$/g) ?? []).map((word) => ({ type: 'text', text: word }));
}

const NO_TOKENS = { inputTokens: undefined, outputTokens: undefined };

/** The request in the form that vendors get. */
function bodyOf({ messages, tools }: ScriptedRequest): string {
  const offered = tools.map((tool) => ({ type: 'function', function: tool }));
  const more = tools.length === 0 ? {} : { tools: offered };
  return JSON.stringify({ model: SCRIPTED_MODEL, messages, ...more });
}

/** The error that a vendor's model would throw. */
function toError(fail: ScriptedFailure['fail']): ModelError {
  if (typeof fail === 'number') {
    return failureOfResponse(ACCESS, fail, new Headers(), '', Date.now());
  }
  const message = `${SCRIPTED_MODEL} failed with ${fail}, as its script says`;
  return new ModelError(fail, message, { retryable: IS_RETRYABLE[fail] });
}
