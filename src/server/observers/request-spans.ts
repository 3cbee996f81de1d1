import { sumOfKnown } from '../../base/sum-of-known.ts';
import type {
  ModelAnswer, ModelResponse, ModelServer, ModelTokens,
} from '../../core/agents/agent.ts';
import type { ModelFigures } from '../../core/conversations/turn-figures.ts';
import type {
  ModelBegan, ModelCompleted, ModelFailed, ModelReplaced, ModelRetried, ModelSent,
} from '../../core/turns/report/turn-points.ts';
import type { CostOf } from '../../core/turns/report/turn-work.ts';
import type { OpenSpan } from './open-span.ts';
import { SPAN_KINDS, type OtelAttributes } from './open-telemetry.ts';
import { answeredMessage, promptMessages } from './span-messages.ts';
import {
  ATTRIBUTES as A, EVENTS, OPERATIONS, PROVIDER_WITHOUT_MODEL, providerAndModel,
} from './span-names.ts';

/** The spans of a turn's requests to models. */
export class RequestSpans {
  readonly #turn: OpenSpan;
  readonly #conversationId: string;
  /** The spans of running requests, by number. */
  readonly #open = new Map<number, OpenSpan>();
  readonly #costOf: CostOf;
  #provider = PROVIDER_WITHOUT_MODEL;

  constructor(turn: OpenSpan, conversationId: string, costOf: CostOf) {
    this.#turn = turn;
    this.#conversationId = conversationId;
    this.#costOf = costOf;
  }

  get count(): number {
    return this.#open.size;
  }

  /** The provider of the model that was asked last. */
  get provider(): string {
    return this.#provider;
  }

  of(request: number): OpenSpan | undefined {
    return this.#open.get(request);
  }

  sent({ request, model, attempt, server, body }: ModelSent): void {
    // It may have been sent before, with a field that the model refused.
    const { span } = this.#open.get(request) ?? this.#start(request, model, attempt, server);
    const prompt = body === undefined ? undefined : promptMessages(body);
    if (prompt !== undefined) span.setAttributes({ [A.inputMessages]: prompt });
  }

  began({ request, afterMs }: ModelBegan): void {
    const span = this.#open.get(request)?.span;
    span?.addEvent(EVENTS.firstToken);
    span?.setAttributes({ [A.secondsToFirstToken]: afterMs / 1_000 });
  }

  completed({ request, usage, response, answer }: ModelCompleted): void {
    const { model, firstDeltaMs, durationMs = firstDeltaMs, finishReason } = usage;
    const { span } = this.#take(request) ?? this.#child(
      model, { [A.secondsToFirstToken]: firstDeltaMs / 1_000 }, Date.now() - durationMs,
    );
    span.setAttributes({
      [A.outcome]: finishReason === 'length' ? finishReason : 'completed',
      [A.finishReasons]: finishReason === undefined ? undefined : [finishReason],
      ...this.#usage(model, usage),
      ...responseOf(response),
      ...wordsOf(answer, finishReason),
    });
    span.end();
  }

  failed(
    { request, model, failure, reason, tokens, used, response, answer }: ModelFailed,
  ): void {
    const open = this.#take(request) ?? this.#child(model, {});
    const outcome = failure === 'interrupted' ? 'interrupted' : 'failed';
    open.span.setAttributes({
      [A.outcome]: outcome,
      ...this.#usage(model, used ?? tokens),
      ...responseOf(response),
      ...wordsOf(answer),
    });
    if (outcome === 'failed') open.fail(failure, reason);
    open.span.end();
  }

  /** Noted on the turn, because the request's span is over by then. */
  askedAgain(again: ModelRetried | ModelReplaced): void {
    this.#turn.span.addEvent(EVENTS[again.type], {
      [A.model]: providerAndModel(again.model)[1],
      [A.errorType]: again.failure,
      ...(again.type === 'retry' ? { [A.afterMs]: again.afterMs } : { [A.fallback]: again.to }),
    });
  }

  #start(request: number, name: string, attempt: number, server?: ModelServer): OpenSpan {
    const child = this.#child(name, {
      [A.attempt]: attempt, [A.server]: server?.address, [A.port]: server?.port,
    });
    this.#open.set(request, child);
    return child;
  }

  #child(name: string, more: OtelAttributes, startTime?: number): OpenSpan {
    const [provider, model] = providerAndModel(name);
    this.#provider = provider;
    this.#turn.span.setAttributes({ [A.provider]: provider, [A.model]: model });
    return this.#turn.child(`${OPERATIONS.model} ${model}`, {
      kind: SPAN_KINDS.client,
      attributes: {
        [A.operation]: OPERATIONS.model,
        [A.provider]: provider,
        [A.model]: model,
        [A.isStream]: true,
        [A.conversation]: this.#conversationId,
        ...more,
      },
      ...(startTime === undefined ? {} : { startTime }),
    });
  }

  #usage(model: string, tokens: Used | undefined): OtelAttributes {
    if (tokens === undefined) return {};
    const { inputTokens, outputTokens } = tokens;
    const isKnown = inputTokens !== undefined || outputTokens !== undefined;
    return usageAttributes({
      ...tokens, cost: isKnown ? this.#costOf(model, tokens) : undefined,
    });
  }

  #take(request: number | undefined): OpenSpan | undefined {
    if (request === undefined) return undefined;
    const child = this.#open.get(request);
    this.#open.delete(request);
    return child;
  }
}

/** What was used. A property is undefined if it is not known. */
interface Used extends ModelTokens {
  readonly cost?: number | undefined;
  readonly isEstimated?: boolean | undefined;
}

function usageAttributes(used: Used): OtelAttributes {
  return {
    [A.inputTokens]: used.inputTokens,
    [A.outputTokens]: used.outputTokens,
    [A.cachedTokens]: used.cachedTokens,
    [A.cost]: used.cost,
    [A.isEstimated]: used.isEstimated === true ? true : undefined,
  };
}

/** What all models together have used. */
export function totalOf(models: readonly ModelFigures[] = []): OtelAttributes {
  const sum = (of: (used: ModelFigures) => number | undefined): number | undefined =>
    sumOfKnown(models.map(of));
  return usageAttributes({
    inputTokens: sum(({ inputTokens }) => inputTokens),
    outputTokens: sum(({ outputTokens }) => outputTokens),
    cachedTokens: sum(({ cachedTokens }) => cachedTokens),
    cost: sum(({ cost }) => cost),
    isEstimated: models.some(({ isEstimated }) => isEstimated === true),
  });
}

function responseOf(response: ModelResponse | undefined): OtelAttributes {
  return { [A.responseId]: response?.id, [A.responseModel]: response?.model };
}

function wordsOf(answer: ModelAnswer | undefined, finishReason?: string): OtelAttributes {
  return answer === undefined ? {} : { [A.outputMessages]: answeredMessage(answer, finishReason) };
}
