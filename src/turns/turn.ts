import { randomInt, randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

import { after, type Awaitable } from '../base/awaitable.ts';
import { historyUpTo, type Conversation, type CutTurn, type OpenedTurn, type TurnRecord } from '../conversations/rules.ts';
import type { AssistantMessage, Message, SentEvent, ToolCall } from '../conversations/message.ts';
import { metadataOf } from '../layercode/events.ts';
import type { Json, JsonObject } from '../layercode/fields.ts';
import type { Reply } from '../layercode/reply.ts';
import type { Logger } from '../log.ts';
import { DEFAULT_APOLOGY, type MessageTurn, type ModelUsage, type Spoken, type StartTurn, type Turn, type TurnJournal } from '../agents/agent.ts';
import { INTERRUPTED_RESULT } from '../agents/prompt.ts';
import { isOwn, isOwnText, joinTexts, spokenText } from './spoken-reply.ts';
import { interruptionOf, textOf, type BegunTurn, type TurnEvent, type TurnRequest, type TurnScope } from './delivery.ts';

/** Calls that a model made together, and where in what was sent the text before them ends. */
interface ToolRound {
  readonly calls: readonly ToolCall[];
  readonly results: Map<string, string>;
  readonly sentBefore: number;
}

/** Longest reply of one turn, texts and data together, in UTF-16 code units. A longer one fails the turn. */
export const MAX_REPLY_LENGTH = 1_048_576;

const NOTHING_SENT: SentEvent[] = [];
const RUN_IDS = 2 ** 30;

/** Why a turn's signal fired. An abort is a normal end, and its name says which. */
export class TurnAbortedError extends Error {
  override readonly name = 'TurnAbortedError';
}

/**
 * One run of a turn: an agent, a reply, a record in the conversation. Knows nothing of HTTP.
 *
 * It ends once, in `#end`, as completed, interrupted or failed: the record is settled from what was written to the socket,
 * and from then on whatever the agent still does is a no-op.
 */
export class RunningTurn implements BegunTurn, Reply, Turn<TurnEvent>, TurnJournal {
  readonly turnId: string;
  readonly #scope: TurnScope;
  readonly #onEnd: (turn: RunningTurn) => void;
  readonly #runId = nextRunId();
  readonly #startedAtMs: number;
  #request: TurnRequest;
  #ending: 'completed' | 'interrupted' | 'failed' | undefined;
  #sent: SentEvent[] = NOTHING_SENT;
  /** Tool calls, and where in `#sent` the text before each of them ends. Made for the first one. */
  #toolRounds: ToolRound[] | undefined;
  #usage: ModelUsage[] | undefined;
  #replyLength = 0;
  #firstSpeechMs: number | undefined;
  /** Whether the agent has spoken. A filler is speech, but none of the agent's. */
  #hasSpoken = false;
  #hasSentData = false;
  #filler: string | undefined;
  /** Set when a piece ended in the first half of a surrogate pair: models split characters between tokens. */
  #highSurrogate = '';
  /** Set when the record was opened. */
  #conversation: Conversation | undefined;
  #record: TurnRecord | undefined;
  #isResumed = false;
  #controller: AbortController | undefined;
  #abortReason: TurnAbortedError | undefined;
  #iterator: Iterator<unknown> | AsyncIterator<unknown> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `onEnd` is called once, when the turn is over. */
  constructor(request: TurnRequest, scope: TurnScope, onEnd: (turn: RunningTurn) => void) {
    this.#request = request;
    this.#scope = scope;
    this.#onEnd = onEnd;
    this.turnId = request.turnId ?? randomUUID();
    this.#startedAtMs = request.receivedAtMs;
  }

  /** Opens the record and lets the agent speak. Never throws or rejects: what fails, fails the turn. */
  start(): void {
    const request = this.#request;
    try {
      const opened = after(
        this.#scope.conversations.openTurn(this.conversationId, {
          turnId: this.turnId,
          runId: this.#runId,
          text: textOf(this.event),
          interruption: interruptionOf(this.event),
        }),
        (opened) => this.#begin(opened),
      );
      if (opened instanceof Promise) opened.catch((error: unknown) => this.#fail(error));
      if (this.#ending !== undefined) return;
      this.#arm();
      request.sink.flush();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The same turn was delivered again: the newer request gets what was said so far, and then the rest. */
  takeOver(request: TurnRequest): void {
    const older = this.#request;
    this.#request = request;
    for (const event of this.#sent) request.sink.send(event);
    request.sink.flush();
    older.onOutcome({ outcome: 'taken over' });
    older.sink.end();
  }

  /** The request's connection closed before its stream ended. Means nothing when another request has taken over. */
  drop(request: TurnRequest): void {
    if (request === this.#request) this.interrupt('the caller left or spoke over the reply');
  }

  get isOver(): boolean {
    return this.#ending !== undefined;
  }

  interrupt(reason: string): void {
    if (this.#ending !== undefined) return;
    this.#end('interrupted');
    this.#abort(reason);
    if (this.#record !== undefined) this.#tellInterrupted({ turnId: this.turnId, text: spokenText(this.#sent, 0) });
  }

  // What the agent is told.

  get conversationId(): string {
    return this.#request.conversationId;
  }

  get event(): TurnEvent {
    return this.#request.event;
  }

  get text(): string {
    return textOf(this.event) ?? '';
  }

  get isResumed(): boolean {
    return this.#isResumed;
  }

  get history(): readonly Message[] {
    return this.#conversation === undefined || this.#record === undefined ? [] : historyUpTo(this.#conversation, this.#record);
  }

  get metadata(): JsonObject {
    return metadataOf(this.event);
  }

  get headers(): IncomingHttpHeaders {
    return this.#request.source.headers;
  }

  get journal(): TurnJournal {
    return this;
  }

  get log(): Logger {
    return this.#request.source.log;
  }

  /** Made when it is asked for: an agent that answers at once needs none. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  // What the agent does.

  say(text: string): Awaitable<boolean> {
    return this.#say(text, false);
  }

  data(content: Json): Awaitable<boolean> {
    if (this.#ending !== undefined) return false;
    const json = JSON.stringify(content) as string | undefined;
    if (json === undefined) throw new TypeError(`data must be a JSON value, got ${typeof content}`);
    this.#hasSentData = true;
    return this.#send({ type: 'data', json }, json.length);
  }

  hangup({ say }: { readonly say?: string } = {}): void {
    if (this.#ending !== undefined) return;
    if (say !== undefined) this.say(this.#apart(say));
    if (this.#highSurrogate !== '') this.#flushSurrogate();
    this.#send({ type: 'hangup' }, 0);
    this.end();
  }

  end(): void {
    if (this.#ending !== undefined) return;
    if (this.#highSurrogate !== '') this.#flushSurrogate();
    this.#end('completed');
  }

  // What the agent notes.

  noteToolCalls(calls: readonly ToolCall[]): void {
    if (this.#ending !== undefined) return;
    this.#toolRounds ??= [];
    this.#toolRounds.push({ calls, results: new Map(), sentBefore: this.#sent.length });
  }

  noteToolResult(toolCallId: string, content: string): void {
    if (this.#ending !== undefined) return;
    const round = this.#toolRounds?.findLast(({ calls }) => calls.some(({ id }) => id === toolCallId)); // some vendors count ids anew in each reply
    round?.results.set(toolCallId, content);
  }

  noteUsage(usage: ModelUsage): void {
    if (this.#ending === undefined) (this.#usage ??= []).push(usage);
  }

  sayFiller(text: string): void {
    if (this.#hasSpoken || this.#ending !== undefined) return;
    this.#filler = text;
    this.#say(`${text.trimEnd()} `, true);
  }

  #begin(opened: OpenedTurn): Awaitable<void> {
    if (opened.kind === 'completed before') {
      if (this.#ending === undefined) this.#replay(opened.sent);
      return;
    }
    if (opened.cut !== undefined) this.#tellInterrupted(opened.cut);
    if (this.#ending !== undefined) {
      // Ended while a slow store opened the record, which was settled right behind, in the order of the calls.
      if (this.#ending === 'interrupted') this.#tellInterrupted({ turnId: this.turnId, text: '' });
      return;
    }
    this.#conversation = opened.conversation;
    this.#record = opened.record;
    this.#isResumed = opened.isResumed;
    const { agent } = this.#scope;
    const isStart = this.event.type === 'session.start' || this.event.type === 'call_started';
    // Two casts for one class: `event` is a start or a caller's words, and the line above says which.
    return this.#speak(isStart ? agent.onSessionStart?.(this as StartTurn, this) : agent.onMessage(this as MessageTurn, this));
  }

  #replay(sent: readonly SentEvent[]): void {
    this.#ending = 'completed';
    clearTimeout(this.#timer);
    for (const event of sent) this.#request.sink.send(event);
    this.#request.sink.end();
    this.#onEnd(this);
    this.#request.onOutcome({ outcome: 'replayed' });
  }

  #speak(spoken: Awaitable<Spoken>): Awaitable<void> {
    if (spoken === undefined) return this.end();
    if (typeof spoken === 'string') {
      this.say(spoken);
      return this.end();
    }
    if (isThenable(spoken)) return Promise.resolve(spoken).then((value) => this.#speak(value));
    if (typeof spoken === 'object' && spoken !== null && Symbol.asyncIterator in spoken) return this.#pump(spoken[Symbol.asyncIterator]());
    if (typeof spoken === 'object' && spoken !== null && Symbol.iterator in spoken) return this.#pump(spoken[Symbol.iterator]());
    throw new TypeError(`agent "${this.#scope.agent.name}" must return a string or an iterable of strings, got ${typeof spoken}`);
  }

  async #pump(iterator: Iterator<unknown> | AsyncIterator<unknown>): Promise<void> {
    this.#iterator = iterator;
    while (this.#ending === undefined) {
      const { done, value } = await iterator.next();
      if (done === true) {
        this.#iterator = undefined; // it has ended by itself and needs no return()
        return this.#endOfText();
      }
      if (typeof value !== 'string') throw new TypeError(`agent "${this.#scope.agent.name}" must yield strings, got ${typeof value}`);
      const taken = this.say(value);
      if (taken instanceof Promise) await taken;
    }
    this.#release();
  }

  #endOfText(): void {
    if (this.#ending !== undefined) return;
    if (!this.#hasSpoken && !this.#hasSentData && this.#highSurrogate === '') {
      throw new Error(`agent "${this.#scope.agent.name}" ended its text without a word; to stay silent, return nothing or call reply.end()`);
    }
    this.end();
  }

  #say(text: string, isFiller: boolean): Awaitable<boolean> {
    if (this.#ending !== undefined) return false;
    if (typeof text !== 'string') throw new TypeError(`say takes a string, got ${typeof text}`);
    let piece = text;
    if (this.#highSurrogate !== '') {
      piece = this.#highSurrogate + text;
      this.#highSurrogate = '';
    }
    if (isHighSurrogate(piece.charCodeAt(piece.length - 1))) {
      this.#highSurrogate = piece.slice(-1);
      piece = piece.slice(0, -1);
    }
    if (piece === '') return true;
    if (!this.#hasSpoken && /\S/.test(piece)) {
      this.#firstSpeechMs ??= performance.now() - this.#startedAtMs;
      this.#hasSpoken = !isFiller;
    }
    return this.#send(isFiller ? { type: 'say', text: piece, isFiller } : { type: 'say', text: piece }, piece.length);
  }

  /** With a space before it where it would stick to what was said last. */
  #apart(text: string): string {
    const last = this.#sent.findLast((event) => event.type === 'say');
    return last?.type === 'say' && /\S$/.test(last.text) && /^\S/.test(text) ? ` ${text}` : text;
  }

  #flushSurrogate(): void {
    this.#highSurrogate = '';
    this.#send({ type: 'say', text: '\ufffd' }, 1);
  }

  #send(event: SentEvent, length: number): Awaitable<boolean> {
    this.#replyLength += length;
    if (this.#replyLength > MAX_REPLY_LENGTH) {
      this.#fail(new RangeError(`the reply is longer than ${MAX_REPLY_LENGTH} characters`));
      return false;
    }
    const taken = this.#request.sink.send(event);
    if (taken === false) return false; // the connection is gone, and the news of it on its way
    this.#note(event);
    // A stream that was taken over while the agent waited for room has a successor: the turn goes on.
    return taken instanceof Promise ? taken.then(() => this.#ending === undefined) : taken;
  }

  /** One clock for both bounds, which run from the request on. */
  #arm(): void {
    const { turnTimeoutMs, firstWordTimeoutMs } = this.#scope;
    const isSilent = !this.#hasSpoken;
    const bound = isSilent ? Math.min(firstWordTimeoutMs, turnTimeoutMs) : turnTimeoutMs;
    const elapsed = performance.now() - this.#startedAtMs;
    this.#timer = setTimeout(RunningTurn.#timedOut, Math.max(0, bound - elapsed), this, isSilent, bound);
  }

  static #timedOut(this: void, turn: RunningTurn, wasSilent: boolean, bound: number): void {
    if (wasSilent && turn.#hasSpoken && bound < turn.#scope.turnTimeoutMs) turn.#arm();
    else turn.#fail(new Error(wasSilent ? `nothing was spoken for ${bound} ms` : `the turn took longer than ${bound} ms`));
  }

  #fail(error: unknown): void {
    const { agent } = this.#scope;
    if (this.#ending !== undefined) {
      // Mostly the abort that it was sent. Anything else must not vanish.
      this.log.debug('agent failed after its turn was over', { agent: agent.name, turnId: this.turnId, error });
      return;
    }
    this.log.error('turn failed', { agent: agent.name, conversationId: this.conversationId, turnId: this.turnId, error });
    // A piece of its own: the apology must not run into a word that was cut off, and stays the text that was chosen for it.
    if (/\S$/.test(spokenText(this.#sent, this.#sent.length - 1))) this.#sendLast(' ');
    this.#sendLast(agent.apology ?? DEFAULT_APOLOGY);
    this.#request.sink.send({ type: 'error' });
    this.#end('failed', error);
    this.#abort('the turn failed');
  }

  #note(event: SentEvent): void {
    if (this.#sent.length === 0) this.#sent = [event]; // most replies have one event or two, and `push` onto an empty array makes room for 17
    else this.#sent.push(event);
  }

  /** Past the bound of a reply, which may be what failed. */
  #sendLast(text: string): void {
    const event: SentEvent = { type: 'say', text };
    this.#note(event);
    this.#request.sink.send(event);
  }

  /** The one end of a turn. The stream ends first: what it still lets through belongs to what was sent. */
  #end(ending: 'completed' | 'interrupted' | 'failed', error?: unknown): void {
    this.#ending = ending;
    clearTimeout(this.#timer);
    this.#request.sink.end();
    // Of a dropped reply counts what reached the socket; events that still waited here were never sent.
    if (ending === 'interrupted') this.#sent = this.#sent.slice(0, Math.max(0, this.#sent.length - this.#request.sink.unsent));
    this.#settle(ending, this.#messages(ending));
    this.#onEnd(this);
    this.#request.onOutcome({ outcome: ending, firstSpeechMs: this.#firstSpeechMs, usage: this.#usage, error });
  }

  /** The reply as history holds it: texts and tool calls in their order, each call with one result. */
  #messages(state: AssistantMessage['state']): Message[] {
    if (this.#toolRounds === undefined) return this.#spokenFrom(0, state);
    const messages: Message[] = [];
    let from = 0;
    // A tool that hangs up ends the turn before it has a result.
    const unfinished = this.#ending === 'completed' ? '{"status":"ok"}' : INTERRUPTED_RESULT;
    for (const { calls, results, sentBefore } of this.#toolRounds) {
      messages.push({ role: 'assistant', content: spokenText(this.#sent, from, sentBefore), turnId: this.turnId, state, toolCalls: calls });
      for (const { id } of calls) messages.push({ role: 'tool', toolCallId: id, content: results.get(id) ?? unfinished, turnId: this.turnId });
      from = sentBefore;
    }
    return messages.concat(this.#spokenFrom(from, state));
  }

  /** Nothing, or one message. */
  #spokenFrom(from: number, state: AssistantMessage['state']): Message[] {
    const content = spokenText(this.#sent, from);
    return content === '' ? [] : [{ role: 'assistant', content, turnId: this.turnId, state }];
  }

  #settle(state: 'completed' | 'interrupted' | 'failed', messages: Message[]): void {
    try {
      const settled = this.#scope.conversations.settleTurn(this.conversationId, {
        turnId: this.turnId,
        runId: this.#runId,
        state,
        messages,
        filler: this.#filler,
        sent: state === 'completed' && !this.#sent.every(isOwnText) ? joinTexts(this.#sent.filter(isOwn)) : undefined,
      });
      if (settled instanceof Promise) settled.catch((error: unknown) => this.#notSettled(error));
    } catch (error) {
      this.#notSettled(error);
    }
  }

  #notSettled(error: unknown): void {
    this.log.error('history not written', { conversationId: this.conversationId, turnId: this.turnId, error });
  }

  #abort(reason: string): void {
    this.#abortReason = new TurnAbortedError(reason);
    this.#controller?.abort(this.#abortReason);
    this.#release();
  }

  /** Whoever stops reading stops paying: tells the agent's iterable that no more is wanted. */
  #release(): void {
    const iterator = this.#iterator;
    this.#iterator = undefined;
    const failed = (error: unknown): void => this.#fail(error);
    try {
      const released: unknown = iterator?.return?.();
      if (released instanceof Promise) released.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #tellInterrupted({ turnId, text }: CutTurn): void {
    const { agent } = this.#scope;
    const failed = (error: unknown): void => this.log.error('onInterrupted failed', { agent: agent.name, error });
    try {
      const told = agent.onInterrupted?.({ conversationId: this.conversationId, turnId, text });
      if (told instanceof Promise) told.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<Spoken> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}

let lastRunId = randomInt(RUN_IDS);

/**
 * Of the runs of one turn no two have the same, as good as certainly, though processes share a store: each counts from a random number
 * on. Small enough for V8 to keep it without an object of its own, for as long as history holds the turn.
 */
function nextRunId(): number {
  lastRunId = (lastRunId + 1) % RUN_IDS;
  return lastRunId;
}
