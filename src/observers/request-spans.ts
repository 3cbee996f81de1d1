import type { ModelAnswer, ModelTokens } from '../agents/agent.ts';
import type {
  ModelBegan, ModelCompleted, ModelFailed, ModelReplaced, ModelRetried, ModelSent,
} from '../turns/turn-points.ts';
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

  constructor(turn: OpenSpan, conversationId: string) {
    this.#turn = turn;
    this.#conversationId = conversationId;
  }

  get count(): number {
    return this.#open.size;
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
    const { model, firstDeltaMs, durationMs = firstDeltaMs } = usage;
    const { span } = this.#take(request) ?? this.#child(
      model, { [A.secondsToFirstToken]: firstDeltaMs / 1_000 }, Date.now() - durationMs,
    );
    span.setAttributes({ [A.outcome]: 'completed', ...tokensOf(usage), ...wordsOf(answer) });
    span.end();
  }

  failed({ request, model, failure, reason, tokens, answer }: ModelFailed): void {
    const open = this.#take(request) ?? this.#child(model, {});
    const outcome = failure === 'interrupted' ? 'interrupted' : 'failed';
    open.span.setAttributes({ [A.outcome]: outcome, ...tokensOf(tokens), ...wordsOf(answer) });
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

  #take(request: number | undefined): OpenSpan | undefined {
    if (request === undefined) return undefined;
    const child = this.#open.get(request);
    this.#open.delete(request);
    return child;
  }
}

function tokensOf(
  { inputTokens, outputTokens, cachedTokens }: Partial<ModelTokens> = {},
): OtelAttributes {
  return {
    [A.inputTokens]: inputTokens,
    [A.outputTokens]: outputTokens,
    [A.cachedTokens]: cachedTokens,
  };
}

function wordsOf(answer: ModelAnswer | undefined): OtelAttributes {
  return answer === undefined ? {} : { [A.outputMessages]: answeredMessage(answer) };
}
