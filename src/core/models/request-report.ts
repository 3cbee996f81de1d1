import type { ToolCall } from '../conversations/message.ts';
import { charactersAnswered, tokensOfCut } from './estimated-tokens.ts';
import {
  ModelError, type ModelAnswer, type ModelDelta, type ModelResponse, type ModelServer,
  type ModelStreamOptions, type ModelTokens, type RequestFailure, type UsedTokens,
} from './model.ts';

type Listeners = Pick<
  ModelStreamOptions, 'onRequest' | 'onFailedRequest' | 'runRequest' | 'attempt'
>;
type Usage = Extract<ModelDelta, { readonly type: 'usage' }>;

/** What is known about a running request to a vendor. */
interface AnswerSoFar {
  readonly usage: ModelTokens;
  readonly response?: ModelResponse;
}

let requests = 0;

/** Reports what happens to one request to a model: see `RequestEvent`. */
export class RequestReport {
  readonly #model: string;
  readonly #listeners: Listeners;
  readonly #vendor: AnswerSoFar;
  readonly #server: ModelServer | undefined;
  readonly #request = ++requests;
  readonly #calls: ToolCall[] = [];
  #text = '';
  #charactersSent: number | undefined;
  #sentAtMs = performance.now();
  #hasBegun = false;
  #isOver = false;

  /** `vendor`: what the vendor has reported so far. */
  constructor(model: string, listeners: Listeners, vendor: AnswerSoFar, server?: ModelServer) {
    this.#model = model;
    this.#listeners = listeners;
    this.#vendor = vendor;
    this.#server = server;
  }

  /** When the request was last sent, by `performance.now()`. */
  get sentAtMs(): number {
    return this.#sentAtMs;
  }

  sent(body: string): void {
    this.#sentAtMs = performance.now();
    this.#charactersSent = body.length;
    const { attempt = 1, onRequest } = this.#listeners;
    const request = this.#request;
    const usedSoFar = (): UsedTokens | undefined => this.#used('interrupted');
    const [model, server] = [this.#model, this.#server];
    onRequest?.({ type: 'sent', request, model, attempt, body, usedSoFar, server });
  }

  /** Sends the request: see `ModelStreamOptions`. */
  run<T>(send: () => T): T {
    const { runRequest } = this.#listeners;
    return runRequest === undefined ? send() : runRequest(this.#request, send);
  }

  /** The answer began at `atMs`, by `performance.now()`. Ignored after the first call. */
  begun(atMs: number): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    const ms = atMs - this.#sentAtMs;
    const request = this.#request;
    this.#listeners.onRequest?.({ type: 'firstDelta', request, model: this.#model, ms });
  }

  answered(delta: ModelDelta): void {
    if (delta.type === 'text') this.#text += delta.text;
    else if (delta.type === 'toolCall') this.#calls.push(delta.call);
  }

  completed(usage: Usage): void {
    this.#isOver = true;
    const request = this.#request;
    const [answer, { response }] = [this.#answer, this.#vendor];
    this.#listeners.onRequest?.({ type: 'completed', request, usage, answer, response });
  }

  /** Ignored once the request has completed. */
  failed(failure: RequestFailure, error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { onRequest, onFailedRequest } = this.#listeners;
    const model = this.#model;
    if (onRequest === undefined) return onFailedRequest?.(model, failure);
    onRequest({
      type: 'failed',
      request: this.#request,
      model,
      failure,
      reason: error instanceof ModelError ? error.message : undefined,
      durationMs: performance.now() - this.#sentAtMs,
      tokens: this.#vendor.usage,
      used: this.#used(failure),
      answer: this.#answer,
      response: this.#vendor.response,
    });
  }

  /** Undefined if a request that ends like this has used nothing. */
  #used(failure: RequestFailure): UsedTokens | undefined {
    if (this.#charactersSent === undefined) return undefined;
    return tokensOfCut({
      failure,
      charactersSent: this.#charactersSent,
      charactersAnswered: charactersAnswered(this.#answer),
      tokens: this.#vendor.usage,
    });
  }

  get #answer(): ModelAnswer {
    return { text: this.#text, calls: this.#calls };
  }
}

/** Why a request failed, judging by what was thrown. */
export function requestFailureOf(error: unknown): RequestFailure {
  return error instanceof ModelError ? error.code : 'failed';
}
