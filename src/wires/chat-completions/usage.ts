import type { ModelUsage } from '../../agents/agent.ts';

/** Tokens in the form of this wire. */
export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** The tokens of a turn's requests to models. A count that a vendor did not report is 0. */
export function usageOf(usage: readonly ModelUsage[] = []): CompletionUsage {
  let [prompt, completion] = [0, 0];
  for (const { inputTokens = 0, outputTokens = 0 } of usage) {
    prompt += inputTokens;
    completion += outputTokens;
  }
  return {
    prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion,
  };
}
