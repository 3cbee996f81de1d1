// The code that talks to vendors. `open-model.ts` imports it when the server first needs a model.

export { ChatCompletionsModel } from './chat-completions.ts';
export { withFallbacks, withRetries } from './retry.ts';
export { TIME_OUTS_BEFORE_FALL_BACK } from './time-outs.ts';
