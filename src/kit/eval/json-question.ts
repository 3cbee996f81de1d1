// Questions to a model that must be answered with one JSON object.

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import type { ChatMessage, ChatModel } from '../../core/models/model.ts';
import { oneLine } from '../terminal/text.ts';
import type { PlayedTurn } from './result.ts';

interface JsonQuestion<T> {
  readonly messages: readonly ChatMessage[];
  /** Undefined if the object is not of the form that was asked for. */
  parse(object: Readonly<Record<string, unknown>>): T | undefined;
  /** What is said to a model whose answer has another form. */
  readonly again: string;
  readonly signal: AbortSignal | undefined;
}

/** A model that says more than this is not answering. In UTF-16 code units. */
const MAX_ANSWER_LENGTH = 10_000;
const MAX_QUOTED_LENGTH = 80;
/** Longest text of a turn or a tool that a model is shown. */
const MAX_ENTRY_LENGTH = 4_000;

/**
 * Asks once more if the answer is not of the form that was asked for. Rejects with the model's
 * error, with the reason of `signal`, and with an error if the second answer is not of that form
 * either.
 */
export async function askForJson<T>(model: ChatModel, question: JsonQuestion<T>): Promise<T> {
  const { messages, again } = question;
  const first = await answerOf(model, messages, question.signal);
  const found = parsed(first, question) ?? parsed(
    await answerOf(model, [
      ...messages,
      // Vendors refuse an empty message.
      { role: 'assistant', content: first.trim() === '' ? '(nothing)' : first },
      { role: 'user', content: again },
    ], question.signal),
    question,
  );
  if (found !== undefined) return found;
  throw new Error(`neither of two answers had the form asked for; the first was ${quoted(first)}`);
}

async function answerOf(
  model: ChatModel,
  messages: readonly ChatMessage[],
  signal: AbortSignal = new AbortController().signal,
): Promise<string> {
  let text = '';
  for await (const delta of model.stream(messages, { temperature: 0, signal })) {
    if (delta.type === 'text') text += delta.text;
    if (text.length > MAX_ANSWER_LENGTH) break;
  }
  signal.throwIfAborted();
  return text.slice(0, MAX_ANSWER_LENGTH);
}

function parsed<T>(answer: string, question: JsonQuestion<T>): T | undefined {
  // Some models put the object into a code block.
  const [, text = answer] = /^\s*```(?:json)?\s*(\{[^]*\})\s*```\s*$/.exec(answer) ?? [];
  const object: unknown = parseJson(text);
  return isObject(object) ? question.parse(object) : undefined;
}

function quoted(answer: string): string {
  return answer.trim() === '' ? '(nothing)' : JSON.stringify(oneLine(answer, MAX_QUOTED_LENGTH));
}

/** What was said and done in a turn, one line of JSON each. The agent's words come last. */
export function linesOfTurn(
  { said, heard, tools, ending }: Pick<PlayedTurn, 'said' | 'heard' | 'tools' | 'ending'>,
  caller: 'caller' | 'you',
): readonly string[] {
  return [
    ...(said === undefined ? [] : [jsonLine({ [caller]: said })]),
    ...tools.map(({ tool, args, result, state }) => jsonLine({ tool, args, result, state })),
    jsonLine({ agent: heard, ...(ending === 'whole' ? {} : { ending }) }),
  ];
}

export function jsonLine(fields: object): string {
  const text = JSON.stringify(fields);
  return text.length <= MAX_ENTRY_LENGTH ? text : `${text.slice(0, MAX_ENTRY_LENGTH)}…`;
}
