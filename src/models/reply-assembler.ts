// Events of one streamed reply → deltas, pure.
// https://platform.openai.com/docs/api-reference/chat-streaming

import type { DecodedEvent } from '../sse/decode.ts';
import { AnswerText } from './answer-text.ts';
import { failureOfEvent, machineWord, type Asked } from './failure.ts';
import { asCount, asList, asRecord, asText, type JsonRecord } from './json.ts';
import { ModelError, type ModelDelta } from './model.ts';
import { ToolCallParts } from './tool-call-parts.ts';

export const MAX_TOOL_CALLS = 64;
/** Of one call's arguments, in UTF-16 code units. */
export const MAX_ARGUMENTS_LENGTH = 262_144;

const NONE: readonly ModelDelta[] = [];

export interface ReplyAssemblerOptions {
  readonly asked: Asked;
  /** Whether the reply goes on with a thought that the prompt has begun. */
  readonly beginsAsThought: boolean;
  readonly onExtraContent: (callId: string, extraContent: unknown) => void;
}

/**
 * Puts one reply together. `push` takes an event and returns the text in it; `end` returns what
 * could not be passed on before, tool calls among it, once the stream is over. Both throw a
 * `ModelError`: for broken JSON, an error object, beyond the bounds, and for a reply that is none.
 */
export class ReplyAssembler {
  readonly #asked: Asked;
  readonly #beginsAsThought: boolean;
  readonly #onExtraContent: (callId: string, extraContent: unknown) => void;
  readonly #calls = new ToolCallParts();
  readonly #answer: AnswerText;
  #finishReason: string | undefined;
  /** Set by what follows a finish reason: at this vendor it does not mean the end. */
  #wentOn = false;
  #isClosing = false;
  #isDone = false;
  #progress = 0;
  #inputTokens: number | undefined;
  #outputTokens: number | undefined;

  constructor({ asked, beginsAsThought, onExtraContent }: ReplyAssemblerOptions) {
    this.#asked = asked;
    this.#beginsAsThought = beginsAsThought;
    this.#onExtraContent = onExtraContent;
    this.#answer = new AnswerText(beginsAsThought);
  }

  /** Whether there was text for the caller, or the start of a tool call. */
  get isUseful(): boolean {
    return this.#answer.hasBegun || this.#calls.hasBegun;
  }

  /** The model has finished, as far as it is known: some go on. */
  get isFinished(): boolean {
    return this.#finishReason !== undefined || this.#isDone;
  }

  /** Nothing but the usage and `[DONE]` should follow. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** `[DONE]` was seen: nothing follows. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Grows with every event that says something of the reply. Keep-alives do not. */
  get progress(): number {
    return this.#progress;
  }

  /** Whether a thought was passed on as text, because nothing had marked its beginning. */
  get spokeThought(): boolean {
    return this.#answer.spokeThought;
  }

  get usage(): {
    readonly inputTokens: number | undefined;
    readonly outputTokens: number | undefined;
  } {
    return { inputTokens: this.#inputTokens, outputTokens: this.#outputTokens };
  }

  push({ event, data }: DecodedEvent): readonly ModelDelta[] {
    if (this.#isDone) return NONE;
    if (data.charCodeAt(0) !== BRACE) {
      const text = data.trim();
      if (text === '[DONE]') this.#isDone = true;
      if (this.#isDone || (isKeepAlive(text) && event !== 'error')) return NONE;
    }
    const chunk = this.#parse(event, data);
    return chunk === undefined ? NONE : this.#readChunk(chunk);
  }

  /** The stream is over, and was finished. */
  end(): readonly ModelDelta[] {
    const deltas = textDeltas(this.#answer.end());
    if (this.#answer.isUnclosed) throw this.#unclosed();
    const calls = this.#calls.finish();
    if (!this.#answer.hasBegun && calls.length === 0) throw this.#empty();
    // At Google a reply of tool calls finishes with `stop` (googleapis/python-genai#2868): what
    // counts is what came.
    for (const { extraContent, ...call } of calls) {
      this.#onExtraContent(call.id, extraContent);
      deltas.push({ type: 'toolCall', call });
    }
    return deltas;
  }

  #parse(event: string, data: string): JsonRecord | undefined {
    const chunk = asRecord(parseJson(data));
    // What follows a reply takes nothing away from it.
    if (this.isFinished && this.isUseful && !this.#wentOn) return chunk;
    const failure = failureOfEvent(this.#asked, event, chunk ?? {});
    if (failure !== undefined) throw failure;
    if (chunk !== undefined) return chunk;
    const message = `${this.#asked.name} sent an event that is not a JSON object`;
    throw new ModelError('malformed_stream', message, { retryable: true });
  }

  #readChunk(chunk: JsonRecord): readonly ModelDelta[] {
    const usage = asRecord(chunk['usage']);
    if (usage !== undefined) {
      this.#inputTokens = asCount(usage['prompt_tokens']) ?? this.#inputTokens;
      this.#outputTokens = asCount(usage['completion_tokens']) ?? this.#outputTokens;
    }
    // The last event before [DONE] has no choices (`stream_options.include_usage`).
    const choice = asRecord(asList(chunk['choices'])[0]);
    if (choice === undefined) return NONE;
    const delta = asRecord(choice['delta']) ?? {};
    const calls = asList(delta['tool_calls']);
    const text = textOf(delta['content']) || asText(delta['refusal']);
    const hasContent = text !== '' || calls.length > 0 || (this.isFinished && isThinking(delta));
    this.#noteStage(asText(choice['finish_reason']), hasContent);
    for (const part of calls) this.#addCallPart(asRecord(part) ?? {});
    return textDeltas(this.#answer.push(text));
  }

  /** Some vendors send a finish reason with the first chunk, or with every one. */
  #noteStage(finishReason: string, hasContent: boolean): void {
    if (this.#finishReason !== undefined) {
      if (!hasContent && (finishReason === '' || this.#isClosing)) return;
      this.#wentOn ||= hasContent;
    } else if (finishReason !== '') this.#checkFinish(finishReason);
    this.#progress++;
    this.#finishReason = finishReason || this.#finishReason;
    this.#isClosing = finishReason !== '' && !(hasContent && this.#wentOn);
  }

  #checkFinish(finishReason: string): void {
    const { name } = this.#asked;
    if (finishReason === 'content_filter') {
      throw new ModelError('content_filter', `${name} withheld its reply (content filter)`);
    }
    if (finishReason === 'error') {
      const message = `${name} broke off with an error`;
      throw new ModelError('error_in_stream', message, { retryable: true });
    }
  }

  #addCallPart(part: JsonRecord): void {
    const length = this.#calls.add(part);
    if (this.#calls.count > MAX_TOOL_CALLS) throw this.#tooLarge(`${MAX_TOOL_CALLS} tool calls`);
    if (length > MAX_ARGUMENTS_LENGTH) {
      throw this.#tooLarge(`${MAX_ARGUMENTS_LENGTH} characters of arguments`);
    }
  }

  #unclosed(): ModelError {
    const hint = this.#beginsAsThought ? '; THINKING=open expects a </think> in every reply' : '';
    const message = `${this.#asked.name} did not end its thought${this.#reason()}${hint}`;
    return new ModelError('unclosed_thought', message);
  }

  #empty(): ModelError {
    const message = `${this.#asked.name} answered with neither text nor tool call${this.#reason()}`;
    return new ModelError('empty_reply', message);
  }

  #reason(): string {
    const reason = machineWord(this.#asked, this.#finishReason);
    return reason === '' ? '' : ` (finish reason ${reason})`;
  }

  #tooLarge(bound: string): ModelError {
    return new ModelError('reply_too_large', `${this.#asked.name} sent more than ${bound}`);
  }
}

const BRACE = 0x7b;

function textDeltas(text: string): ModelDelta[] {
  return text === '' ? [] : [{ type: 'text', text }];
}

/** Servers that tell thoughts apart send them in a field of their own. It is not for the caller. */
function isThinking(delta: JsonRecord): boolean {
  return asText(delta['reasoning_content']) !== '' || asText(delta['reasoning']) !== '';
}

/** A comment's job done by an event: `data:` with nothing in it, or with a comment. */
function isKeepAlive(text: string): boolean {
  return text === '' || text.startsWith(':');
}

function parseJson(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined; // Node's error would quote the text
  }
}

/** Usually a string or null. Mistral's reasoning models stream parts, some of them text. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  const parts = asList(content).map(asRecord);
  return parts.map((part) => (part?.['type'] === 'text' ? asText(part['text']) : '')).join('');
}
