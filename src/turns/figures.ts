import type { ModelUsage } from '../agents/agent.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { ModelFigures, TurnFigures } from '../conversations/turn-record.ts';

/**
 * Figures of a turn that begins, for the record of its call. `startedAtMs` is a value of
 * `performance.now()`.
 */
export function figuresAtStart(event: TurnEvent, startedAtMs: number): TurnFigures {
  return {
    sessionId: event.sessionId,
    startedAt: Math.round(Date.now() - (performance.now() - startedAtMs)),
  };
}

/** Figures of a turn that ends now. All times are in milliseconds. */
export function figuresAtEnd(
  event: TurnEvent,
  startedAtMs: number,
  firstSpeechMs: number | undefined,
  usage: readonly ModelUsage[] | undefined,
): TurnFigures {
  return {
    ...figuresAtStart(event, startedAtMs),
    durationMs: Math.round(performance.now() - startedAtMs),
    firstSpeechMs: rounded(firstSpeechMs),
    firstTokenMs: rounded(usage?.[0]?.firstDeltaMs),
    models: usage === undefined ? undefined : byModel(usage),
  };
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms);
}

function byModel(usage: readonly ModelUsage[]): ModelFigures[] {
  const figures = new Map<string, ModelFigures>();
  for (const { model, inputTokens, outputTokens, cachedTokens } of usage) {
    const sum = figures.get(model);
    figures.set(model, {
      model,
      requests: (sum?.requests ?? 0) + 1,
      inputTokens: plus(sum?.inputTokens, inputTokens),
      outputTokens: plus(sum?.outputTokens, outputTokens),
      cachedTokens: plus(sum?.cachedTokens, cachedTokens),
    });
  }
  return [...figures.values()];
}

/** A number that is not known counts as 0. Undefined if neither is known. */
function plus(sum: number | undefined, more: number | undefined): number | undefined {
  return more === undefined ? sum : (sum ?? 0) + more;
}
