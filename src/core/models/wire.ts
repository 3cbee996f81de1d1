// The code that talks to vendors. `open-model.ts` imports it when the server first needs a model.

export { chatCompletionsModel } from './chat-completions.ts';
export { withFallbacks, withRetries } from './retry.ts';
export { TIMEOUTS_BEFORE_FALLBACK } from './timeouts.ts';
