import type { Awaitable } from '../../base/awaitable.ts';
import { endingAtOnce } from '../../base/end-at-once.ts';
import { DeferredStream } from './deferred-stream.ts';
import {
  charactersAnswered, charactersSent, estimatedTokens, tokensOfCut,
} from './estimated-tokens.ts';
import {
  ModelError, type ChatMessage, type ChatModel, type ModelDelta, type ModelStreamOptions,
  type ModelTokens, type RequestEvent, type RequestFailure,
} from './model.ts';
import { requestFailureOf } from './request-report.ts';
import { withStream } from './with-stream.ts';

/** Decides whether requests to models may begin, and is told what they used. */
export interface Meter {
  /**
   * Asked before each request, with an estimate of its input. Undefined: the request must not
   * begin.
   */
  open(model: string, inputTokens: number): Awaitable<Tab | undefined>;
}

/** One request. */
interface Tab {
  /** Called once, when the request is over. `tokens` is undefined if it has used nothing. */
  close(model: string, tokens: ModelTokens | undefined): void;
}

/**
 * The model, with each stream metered. A stream that must not begin throws a `ModelError` with code
 * `limit_reached` instead.
 */
export function metered(model: ChatModel, meter: Meter): ChatModel {
  const { name } = model;
  return withStream(model, (messages, options) =>
    new DeferredStream(options.signal, async (ask) => {
      const characters = charactersSent(messages, options.tools);
      const tab = await meter.open(name, estimatedTokens(characters));
      if (tab === undefined)
        throw new ModelError('limit_reached', `${name} is not asked: the call is at its limit`);
      const request = new MeteredRequest(name, tab, characters);
      try {
        return await ask(() => request.stream(model, messages, options));
      } finally {
        request.answeredOrNot();
      }
    }),
  );
}

/** Watches one request: by its events, or by its deltas if the model has no events. */
class MeteredRequest {
  #model: string;
  readonly #tab: Tab;
  /** In characters. */
  #sent: number;
  #answered = 0;
  #isAsked = false;
  /** Undefined until something has reported its usage. */
  #used: ModelTokens | undefined;

  /** `characters`: how many the model is sent. */
  constructor(name: string, tab: Tab, characters: number) {
    this.#model = name;
    this.#tab = tab;
    this.#sent = characters;
  }

  stream(
    model: ChatModel,
    messages: readonly ChatMessage[],
    options: ModelStreamOptions,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    this.#isAsked = true;
    const { onRequest, onFailedRequest } = options;
    const deltas = model.stream(messages, {
      ...options,
      onRequest: (event) => {
        this.#happened(event);
        if (onRequest !== undefined) onRequest(event);
        else if (event.type === 'failed') onFailedRequest?.(event.model, event.failure);
      },
    });
    return endingAtOnce(this.#seen(deltas), () => void deltas.return());
  }

  /** Call it when the first delta has come, or when none will. */
  answeredOrNot(): void {
    if (!this.#isAsked) this.#tab.close(this.#model, undefined);
  }

  async *#seen(
    deltas: AsyncGenerator<ModelDelta, void, undefined>,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    let failure: RequestFailure = 'interrupted'; // until something else is known
    try {
      for await (const delta of deltas) {
        this.#delta(delta);
        yield delta;
      }
    } catch (error) {
      failure = requestFailureOf(error);
      throw error;
    } finally {
      this.#tab.close(this.#model, this.#used ?? this.#cutOff(failure));
    }
  }

  #delta(delta: ModelDelta): void {
    if (delta.type === 'usage') this.#completed(delta.model, delta);
    else if (delta.type === 'text') this.#answered += delta.text.length;
    else this.#answered += charactersAnswered({ text: '', calls: [delta.call] });
  }

  #happened(event: RequestEvent): void {
    if (event.type === 'sent') this.#sent = event.body.length;
    else if (event.type === 'completed') this.#completed(event.usage.model, event.usage);
    else if (event.type === 'failed') this.#used = event.used;
  }

  #completed(model: string, { inputTokens, outputTokens, cachedTokens }: ModelTokens): void {
    this.#model = model;
    this.#used = {
      inputTokens: inputTokens ?? estimatedTokens(this.#sent),
      outputTokens: outputTokens ?? estimatedTokens(this.#answered),
      cachedTokens,
    };
  }

  #cutOff(failure: RequestFailure): ModelTokens | undefined {
    const [sent, answered] = [this.#sent, this.#answered];
    return tokensOfCut({ failure, charactersSent: sent, charactersAnswered: answered });
  }
}
