import type { ModelAnswer, ModelTokens } from '../agents/agent.ts';
import { sumOfKnown } from '../base/sum-of-known.ts';
import type {
  ModelBegan, ModelCompleted, ModelFailed, ModelReplaced, ModelRetried, ModelSent,
} from '../turns/report/turn-points.ts';
import type { CostOf } from '../turns/report/turn-work.ts';
import type { OpenSpan } from './open-span.ts';
import { SPAN_KINDS, type OtelAttributes } from './open-telemetry.ts';
import { answeredMessage, promptMessages } from './span-messages.ts';
import { ATTRIBUTES as A, EVENTS, OPERATIONS, providerAndModel } from './span-names.ts';

/** The spans of a turn's requests to models. */
export class RequestSpans {
  readonly #turn: OpenSpan;
  readonly #conversationId: string;
  /** Those that run, by number. */
  readonly #open = new Map<number, OpenSpan>();
  readonly #costOf: CostOf;
  /** What requests that are over have used. */
  readonly #used: { readonly tokens: ModelTokens; readonly cost: number | undefined }[] = [];

  constructor(turn: OpenSpan, conversationId: string, costOf: CostOf) {
    this.#turn = turn;
    this.#conversationId = conversationId;
    this.#costOf = costOf;
  }

  get count(): number {
    return this.#open.size;
  }

  /** What all requests have used so far. */
  get total(): OtelAttributes {
    const sum = (of: (used: ModelTokens) => number | undefined): number | undefined =>
      sumOfKnown(this.#used.map(({ tokens }) => of(tokens)));
    return {
      [A.inputTokens]: sum(({ inputTokens }) => inputTokens),
      [A.outputTokens]: sum(({ outputTokens }) => outputTokens),
      [A.cachedTokens]: sum(({ cachedTokens }) => cachedTokens),
      [A.cost]: sumOfKnown(this.#used.map(({ cost }) => cost)),
    };
  }

  of(request: number): OpenSpan | undefined {
    return this.#open.get(request);
  }

  sent({ request, model, attempt, body }: ModelSent): void {
    // It may have been sent before, with a field that the model refused.
    const { span } = this.#open.get(request) ?? this.#start(request, model, attempt);
    const prompt = body === undefined ? undefined : promptMessages(body);
    if (prompt !== undefined) span.setAttributes({ [A.inputMessages]: prompt });
  }

  began({ request, afterMs }: ModelBegan): void {
    const span = this.#open.get(request)?.span;
    span?.addEvent(EVENTS.firstToken);
    span?.setAttributes({ [A.secondsToFirstToken]: afterMs / 1_000 });
  }

  completed({ request, usage, answer }: ModelCompleted): void {
    const { model, firstDeltaMs, durationMs = firstDeltaMs, finishReason } = usage;
    const { span } = this.#take(request) ?? this.#child(
      model, { [A.secondsToFirstToken]: firstDeltaMs / 1_000 }, Date.now() - durationMs,
    );
    const used = this.#use(model, usage);
    span.setAttributes({
      [A.outcome]: finishReason === 'length' ? finishReason : 'completed',
      [A.finishReasons]: finishReason === undefined ? undefined : [finishReason],
      ...used,
      ...wordsOf(answer, finishReason),
    });
    span.end();
  }

  failed({ request, model, failure, reason, tokens, answer }: ModelFailed): void {
    const open = this.#take(request) ?? this.#child(model, {});
    const outcome = failure === 'interrupted' ? 'interrupted' : 'failed';
    const used = tokens === undefined ? {} : this.#use(model, tokens);
    open.span.setAttributes({ [A.outcome]: outcome, ...used, ...wordsOf(answer) });
    if (outcome === 'failed') open.fail(failure, reason);
    open.span.end();
  }

  /** Noted on the turn: the span of the request is over by then. */
  askedAgain(again: ModelRetried | ModelReplaced): void {
    this.#turn.span.addEvent(EVENTS[again.type], {
      [A.model]: providerAndModel(again.model)[1],
      [A.errorType]: again.failure,
      ...(again.type === 'retry' ? { [A.afterMs]: again.afterMs } : { [A.fallback]: again.to }),
    });
  }

  #start(request: number, name: string, attempt: number): OpenSpan {
    const [provider, model] = providerAndModel(name);
    this.#turn.span.setAttributes({ [A.provider]: provider, [A.model]: model });
    const child = this.#child(name, { [A.attempt]: attempt });
    this.#open.set(request, child);
    return child;
  }

  #child(name: string, more: OtelAttributes, startTime?: number): OpenSpan {
    const [provider, model] = providerAndModel(name);
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

  /** The attributes for these tokens. */
  #use(model: string, tokens: ModelTokens): OtelAttributes {
    const { inputTokens, outputTokens, cachedTokens } = tokens;
    const isKnown = inputTokens !== undefined || outputTokens !== undefined;
    const cost = isKnown ? this.#costOf(model, tokens) : undefined;
    this.#used.push({ tokens, cost });
    return {
      [A.inputTokens]: inputTokens,
      [A.outputTokens]: outputTokens,
      [A.cachedTokens]: cachedTokens,
      [A.cost]: cost,
    };
  }

  #take(request: number | undefined): OpenSpan | undefined {
    if (request === undefined) return undefined;
    const child = this.#open.get(request);
    this.#open.delete(request);
    return child;
  }
}

function wordsOf(answer: ModelAnswer | undefined, finishReason?: string): OtelAttributes {
  return answer === undefined ? {} : { [A.outputMessages]: answeredMessage(answer, finishReason) };
}
