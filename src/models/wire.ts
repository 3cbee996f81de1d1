// All that speaks with vendors, which a server loads when it first needs a model: 'open-model.ts' asks for it.

export { ChatCompletionsModel } from './chat-completions.ts';
export { withFallbacks, withRetries } from './retry.ts';
export { TIME_OUTS_BEFORE_FALL_BACK } from './time-outs.ts';
