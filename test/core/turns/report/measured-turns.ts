// As much of turns as is measured.

import type { ModelUsage } from '../../../../src/core/agents/agent.ts';
import type { TurnWork } from '../../../../src/core/turns/report/turn-work.ts';

type Measured = ConstructorParameters<typeof TurnWork>[0];

export function measured(): { -readonly [Field in keyof Measured]: Measured[Field] } {
  return {
    conversationId: 'c', turnId: 't', runId: 1, startedAtMs: performance.now(), isOver: false,
    trace: undefined,
  };
}

export function usageOf(model: string, fields: Partial<ModelUsage>): ModelUsage {
  const unknown = { inputTokens: undefined, outputTokens: undefined };
  return { type: 'usage', model, ...unknown, firstDeltaMs: 1, ...fields };
}
