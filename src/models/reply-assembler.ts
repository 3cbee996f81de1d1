// Events of one streamed reply → deltas, pure. https://platform.openai.com/docs/api-reference/chat-streaming

import { randomUUID } from 'node:crypto';

import type { ToolCall } from '../conversations/message.ts';
import { failureOfEvent, type Asked } from './failure.ts';
import { asCount, asList, asRecord, asText, type JsonRecord } from './json.ts';
import { ModelError, type ModelDelta } from './model.ts';

export const MAX_TOOL_CALLS = 64;
/** Of one call's arguments, in UTF-16 code units. */
export const MAX_ARGUMENTS_LENGTH = 262_144;
/** Of white space before the first text, which is held back: a reply of nothing else is an empty one. */
const MAX_LEADING_SPACE = 4_096;

interface OpenCall {
  readonly index: number | undefined;
  readonly givenId: string;
  readonly id: string;
  name: string;
  args: string;
  extraContent: unknown;
}

/**
 * Puts one reply together. `push` takes the data of one event and returns what can be passed on: text at once, tool calls
 * when the model has finished. Throws a `ModelError` for broken JSON, an error object, and beyond the bounds.
 */
export class ReplyAssembler {
  readonly #asked: Asked;
  readonly #onExtraContent: (callId: string, extraContent: unknown) => void;
  readonly #calls: OpenCall[] = [];
  #leadingSpace = '';
  #hasText = false;
  #finishReason: string | undefined;
  #isDone = false;
  #inputTokens: number | undefined;
  #outputTokens: number | undefined;

  constructor(asked: Asked, onExtraContent: (callId: string, extraContent: unknown) => void) {
    this.#asked = asked;
    this.#onExtraContent = onExtraContent;
  }

  /** Whether there was text other than white space, or the start of a tool call. */
  get isUseful(): boolean {
    return this.#hasText || this.#calls.length > 0;
  }

  /** The model has finished; the usage may still follow. */
  get isFinished(): boolean {
    return this.#finishReason !== undefined || this.#isDone;
  }

  /** `[DONE]` was seen: nothing follows. */
  get isDone(): boolean {
    return this.#isDone;
  }

  get usage(): { readonly inputTokens: number | undefined; readonly outputTokens: number | undefined } {
    return { inputTokens: this.#inputTokens, outputTokens: this.#outputTokens };
  }

  push(data: string): ModelDelta[] {
    if (this.#isDone) return [];
    const wasFinished = this.isFinished;
    const deltas: ModelDelta[] = [];
    if (data.trim() === '[DONE]') this.#isDone = true;
    else this.#readChunk(this.#parse(data), deltas);
    if (this.isFinished && !wasFinished) this.#finish(deltas);
    return deltas;
  }

  #parse(data: string): JsonRecord {
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch (cause) {
      throw new ModelError('malformed_stream', `${this.#asked.name} sent an event that is not JSON`, { retryable: true, cause });
    }
    const chunk = asRecord(value);
    if (chunk === undefined) throw new ModelError('malformed_stream', `${this.#asked.name} sent an event that is not an object`, { retryable: true });
    const failure = failureOfEvent(this.#asked, chunk);
    if (failure !== undefined && !this.isFinished) throw failure;
    return chunk;
  }

  #readChunk(chunk: JsonRecord, deltas: ModelDelta[]): void {
    const usage = asRecord(chunk['usage']);
    this.#inputTokens = asCount(usage?.['prompt_tokens']) ?? this.#inputTokens;
    this.#outputTokens = asCount(usage?.['completion_tokens']) ?? this.#outputTokens;
    // The last event before [DONE] tells the usage with no choices (`stream_options.include_usage`).
    const choice = asRecord(asList(chunk['choices'])[0]);
    if (choice === undefined || this.#finishReason !== undefined) return;
    const delta = asRecord(choice['delta']) ?? {};
    this.#addText(textOf(delta['content']) || asText(delta['refusal']), deltas);
    for (const call of asList(delta['tool_calls'])) this.#addCallPart(asRecord(call) ?? {});
    this.#finishReason = asText(choice['finish_reason']) || undefined;
  }

  #addText(text: string, deltas: ModelDelta[]): void {
    if (text === '') return;
    if (!this.#hasText) {
      this.#leadingSpace += text;
      if (this.#leadingSpace.length > MAX_LEADING_SPACE && this.#leadingSpace.trim() === '') throw this.#tooLarge(`${MAX_LEADING_SPACE} blanks`);
      if (this.#leadingSpace.trim() === '') return;
      this.#hasText = true;
      deltas.push({ type: 'text', text: this.#leadingSpace });
    } else deltas.push({ type: 'text', text });
  }

  #addCallPart(part: JsonRecord): void {
    const { name, arguments: args } = asRecord(part['function']) ?? {};
    const givenId = asText(part['id']);
    const index = asCount(part['index']);
    const call = this.#findCall(index, givenId, asText(name)) ?? this.#openCall(index, givenId);
    if (call.name === '') call.name = asText(name);
    // A string by the book; some servers of one's own stream the object itself.
    call.args += asRecord(args) === undefined ? asText(args) : JSON.stringify(args);
    call.extraContent = part['extra_content'] ?? call.extraContent;
    if (call.args.length > MAX_ARGUMENTS_LENGTH) throw this.#tooLarge(`${MAX_ARGUMENTS_LENGTH} characters of arguments`);
  }

  /**
   * The open call a part belongs to. The index decides by the book; Gemini leaves it out (THU-MAIC/OpenMAIC#1556) or sends 0
   * for every call (QuantumNous/new-api#2701), so another id is another call, and a name without either starts one.
   */
  #findCall(index: number | undefined, givenId: string, name: string): OpenCall | undefined {
    const isSameId = (call: OpenCall): boolean => givenId === '' || call.givenId === '' || call.givenId === givenId;
    if (index !== undefined) return this.#calls.findLast((call) => call.index === index && isSameId(call));
    if (givenId !== '') return this.#calls.find((call) => call.givenId === givenId);
    return name === '' ? this.#calls.at(-1) : undefined;
  }

  #openCall(index: number | undefined, givenId: string): OpenCall {
    if (this.#calls.length === MAX_TOOL_CALLS) throw this.#tooLarge(`${MAX_TOOL_CALLS} tool calls`);
    const call: OpenCall = { index, givenId, id: givenId || `call_${randomUUID()}`, name: '', args: '', extraContent: undefined };
    this.#calls.push(call);
    return call;
  }

  /** At Google a reply of tool calls finishes with `stop` (googleapis/python-genai#2868): what counts is what came. */
  #finish(deltas: ModelDelta[]): void {
    const { name } = this.#asked;
    if (this.#finishReason === 'content_filter') throw new ModelError('content_filter', `${name} withheld its reply (content filter)`);
    if (this.#finishReason === 'error') throw new ModelError('error_in_stream', `${name} broke off with an error`, { retryable: true });
    if (!this.isUseful) {
      throw new ModelError('empty_reply', `${name} answered with neither text nor tool call (finish reason ${this.#finishReason ?? 'none'})`);
    }
    for (const open of this.#calls) {
      const call: ToolCall = { id: open.id, name: open.name, args: open.args };
      this.#onExtraContent(call.id, open.extraContent);
      deltas.push({ type: 'toolCall', call });
    }
  }

  #tooLarge(bound: string): ModelError {
    return new ModelError('reply_too_large', `${this.#asked.name} sent more than ${bound}`);
  }
}

/** Usually a string or null. Mistral's reasoning models stream a list of parts, of which only `text` is meant for the caller. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return asList(content).map((part) => (asRecord(part)?.['type'] === 'text' ? asText(asRecord(part)?.['text']) : '')).join('');
}
