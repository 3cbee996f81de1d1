// Turns the events of one streamed reply into deltas. Does no I/O itself.
// https://platform.openai.com/docs/api-reference/chat-streaming

import { isTooDeep } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import type { DecodedEvent } from '../../base/sse/decode.ts';
import { AnswerText } from './answer-text.ts';
import { failureOfEvent, type ModelAccess } from './failure.ts';
import { asCount, asList, asRecord, asText, type JsonRecord } from './json.ts';
import { ModelError, type ModelDelta, type ModelResponse, type ModelTokens } from './model.ts';
import { ToolCallParts } from './tool-call-parts.ts';
import { finishReasonOf, vendorWord } from './vendor-words.ts';

const MAX_TOOL_CALLS = 64;
/**
 * Maximum length of the ids, names and arguments of all calls in a reply together, in UTF-16 code
 * units.
 */
const MAX_CALLS_LENGTH = 262_144;

const NONE: readonly ModelDelta[] = [];

interface ReplyAssemblerOptions {
  readonly access: ModelAccess;
  /** Whether the prompt opened a thought that the reply continues. */
  readonly beginsAsThought: boolean;
  readonly onExtraContent: (callId: string, extraContent: unknown) => void;
}

/**
 * Assembles one reply. `push` takes an event and returns the text in it. `end` returns the rest
 * when the stream is over: text that was held back, then the tool calls.
 *
 * Both throw a `ModelError`: for broken JSON, an error object, an exceeded bound, and an empty
 * reply.
 */
export class ReplyAssembler {
  readonly #options: ReplyAssemblerOptions;
  readonly #calls = new ToolCallParts();
  readonly #answer: AnswerText;
  #finishReason: string | undefined;
  /**
   * Set if content follows a finish reason: for this vendor a finish reason does not mean the end.
   */
  #wentOn = false;
  #isClosing = false;
  #isDone = false;
  #progress = 0;
  #inputTokens: number | undefined;
  #outputTokens: number | undefined;
  #cachedTokens: number | undefined;
  #id: string | undefined;
  #model: string | undefined;

  constructor(options: ReplyAssemblerOptions) {
    this.#options = options;
    this.#answer = new AnswerText(options.beginsAsThought);
  }

  get #name(): string {
    return this.#options.access.name;
  }

  /** Whether there was text for the caller, or the start of a tool call. */
  get isUseful(): boolean {
    return this.#answer.hasBegun || this.#calls.hasBegun;
  }

  /** Whether the model seems to have finished. Some go on after a finish reason. */
  get isFinished(): boolean {
    return this.#finishReason !== undefined || this.#isDone;
  }

  /** Only the usage and `[DONE]` should follow. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** `[DONE]` has come. Nothing follows. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Grows with every event that is part of the reply. Keep-alives do not count. */
  get progress(): number {
    return this.#progress;
  }

  /** Whether a thought was passed on as text because nothing marked its beginning. */
  get spokeThought(): boolean {
    return this.#answer.spokeThought;
  }

  get response(): ModelResponse {
    return { id: this.#id, model: this.#model };
  }

  /** Why the answer ended: see `ModelDelta`. */
  get finishReason(): string | undefined {
    return finishReasonOf(this.#finishReason);
  }

  get usage(): ModelTokens {
    const cached = this.#cachedTokens;
    return {
      inputTokens: this.#inputTokens,
      outputTokens: this.#outputTokens,
      ...(cached === undefined ? {} : { cachedTokens: cached }),
    };
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

  /** Call it when the stream is over and the reply has finished. */
  end(): readonly ModelDelta[] {
    const deltas = textDeltas(this.#answer.end());
    if (this.#answer.isUnclosed) throw this.#unclosed();
    const calls = this.#calls.finish();
    if (!this.#answer.hasBegun && calls.length === 0) throw this.#empty();
    // The finish reason is not checked: Google ends a reply of tool calls with `stop`
    // (googleapis/python-genai#2868).
    for (const { extraContent, ...call } of calls) {
      this.#options.onExtraContent(call.id, extraContent);
      deltas.push({ type: 'toolCall', call });
    }
    return deltas;
  }

  #parse(event: string, data: string): JsonRecord | undefined {
    const chunk = asRecord(parseJson(data));
    // An error that follows a finished reply does not damage it.
    if (this.isFinished && this.isUseful && !this.#wentOn) return chunk;
    const failure = failureOfEvent(this.#options.access, event, chunk ?? {});
    if (failure !== undefined) throw failure;
    if (chunk !== undefined) return chunk;
    throw this.#malformed('an event that is not a JSON object');
  }

  #readChunk(chunk: JsonRecord): readonly ModelDelta[] {
    this.#id ??= shortName(chunk['id']);
    this.#model ??= shortName(chunk['model']);
    const usage = asRecord(chunk['usage']);
    if (usage !== undefined) {
      this.#inputTokens = asCount(usage['prompt_tokens']) ?? this.#inputTokens;
      this.#outputTokens = asCount(usage['completion_tokens']) ?? this.#outputTokens;
      this.#cachedTokens = cachedTokensIn(usage) ?? this.#cachedTokens;
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

  /** Some vendors send a finish reason with the first chunk, or with every chunk. */
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
    if (finishReason === 'content_filter') {
      throw new ModelError('content_filter', `${this.#name} withheld its reply (content filter)`);
    }
    if (finishReason === 'error') {
      const message = `${this.#name} broke off with an error`;
      throw new ModelError('error_in_stream', message, { retryable: true });
    }
  }

  #addCallPart(part: JsonRecord): void {
    if (isTooDeep(part)) throw this.#malformed('a tool call that is nested too deeply');
    this.#calls.add(part);
    if (this.#calls.count > MAX_TOOL_CALLS) throw this.#tooLarge(`${MAX_TOOL_CALLS} tool calls`);
    if (this.#calls.length > MAX_CALLS_LENGTH) {
      throw this.#tooLarge(`${MAX_CALLS_LENGTH} characters of tool calls`);
    }
  }

  #unclosed(): ModelError {
    const hint = this.#options.beginsAsThought ? '; THINKING=open expects a </think> in every reply' : '';
    const message = `${this.#name} did not end its thought${this.#reason()}${hint}`;
    return new ModelError('unclosed_thought', message);
  }

  #empty(): ModelError {
    const what = `answered with neither text nor tool call${this.#reason()}`;
    return new ModelError('empty_reply', `${this.#name} ${what}`);
  }

  #reason(): string {
    const reason = vendorWord(this.#finishReason);
    return reason === '' ? '' : ` (finish reason ${reason})`;
  }

  #malformed(what: string): ModelError {
    const message = `${this.#name} sent ${what}`;
    return new ModelError('malformed_stream', message, { retryable: true });
  }

  #tooLarge(bound: string): ModelError {
    return new ModelError('reply_too_large', `${this.#name} sent more than ${bound}`);
  }
}

/** DeepSeek has a field of its own: https://api-docs.deepseek.com/guides/kv_cache */
function cachedTokensIn(usage: JsonRecord): number | undefined {
  const details = asRecord(usage['prompt_tokens_details']);
  return asCount(details?.['cached_tokens']) ?? asCount(usage['prompt_cache_hit_tokens']);
}

/** An id or a name, as vendors form them: too short to quote anybody at length. */
function shortName(value: unknown): string | undefined {
  return /^[\w./:@-]{1,200}$/.exec(asText(value))?.[0];
}

const BRACE = 0x7b;

function textDeltas(text: string): ModelDelta[] {
  return text === '' ? [] : [{ type: 'text', text }];
}

/** Some servers send thoughts in a separate field. Thoughts are not for the caller. */
function isThinking(delta: JsonRecord): boolean {
  return asText(delta['reasoning_content']) !== '' || asText(delta['reasoning']) !== '';
}

/** A keep-alive sent as an event: `data:` with nothing in it, or with a comment. */
function isKeepAlive(text: string): boolean {
  return text === '' || text.startsWith(':');
}

/**
 * Usually a string or null. Mistral's reasoning models stream a list of parts; some of them are
 * text.
 */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  const parts = asList(content).map(asRecord);
  return parts.map((part) => (part?.['type'] === 'text' ? asText(part['text']) : '')).join('');
}
