// The names of spans, their attributes and events. Those that begin with `gen_ai` are from
// https://github.com/open-telemetry/semantic-conventions-genai, at commit
// 002c8a6ea1c8a42b14a4527db83b3cabcded610a. They are not stable yet.

export const OPERATIONS = {
  turn: 'invoke_agent',
  model: 'chat',
  tool: 'execute_tool',
} as const;

/** The name of spans in which a turn waits for the store: the conventions have none. */
export const STORE_SPAN = 'store';

export const ATTRIBUTES = {
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  agent: 'gen_ai.agent.name',
  conversation: 'gen_ai.conversation.id',
  model: 'gen_ai.request.model',
  isStream: 'gen_ai.request.stream',
  secondsToFirstToken: 'gen_ai.response.time_to_first_chunk',
  server: 'server.address',
  port: 'server.port',
  responseId: 'gen_ai.response.id',
  responseModel: 'gen_ai.response.model',
  finishReasons: 'gen_ai.response.finish_reasons',
  inputTokens: 'gen_ai.usage.input_tokens',
  outputTokens: 'gen_ai.usage.output_tokens',
  cachedTokens: 'gen_ai.usage.cache_read.input_tokens',
  inputMessages: 'gen_ai.input.messages',
  outputMessages: 'gen_ai.output.messages',
  tool: 'gen_ai.tool.name',
  toolType: 'gen_ai.tool.type',
  toolCall: 'gen_ai.tool.call.id',
  toolArguments: 'gen_ai.tool.call.arguments',
  toolResult: 'gen_ai.tool.call.result',
  errorType: 'error.type',
  turn: 'layercode.turn.id',
  wire: 'layercode.wire',
  event: 'layercode.event',
  outcome: 'layercode.outcome',
  failure: 'layercode.failure',
  reason: 'layercode.reason',
  speakers: 'layercode.speakers',
  storeMs: 'layercode.store_ms',
  settleMs: 'layercode.settle_ms',
  storeStep: 'layercode.store_step',
  limit: 'layercode.limit',
  afterMs: 'layercode.after_ms',
  attempt: 'layercode.attempt',
  fallback: 'layercode.fallback',
  cost: 'layercode.cost',
  isEstimated: 'layercode.tokens_estimated',
  /** The kind of a link: `interrupts` or `repeats`. */
  link: 'layercode.link',
} as const;

export const EVENTS = {
  firstToken: 'layercode.first_token',
  firstWord: 'layercode.first_word',
  filler: 'layercode.filler',
  interruption: 'layercode.interruption',
  apology: 'layercode.apology',
  retry: 'layercode.retry',
  fallback: 'layercode.fallback',
} as const;

/** Providers whose names in the conventions differ from ours. */
const PROVIDERS: Readonly<Record<string, string>> = {
  google: 'gcp.gemini', mistral: 'mistral_ai', xai: 'x_ai',
};

/** The provider of an agent that has not asked a model: the agent itself. */
export const PROVIDER_WITHOUT_MODEL = 'layercode-microserver';

/** `openai:gpt-6-luna` → the provider and the model, as the conventions name them. */
export function providerAndModel(name: string): readonly [provider: string, model: string] {
  const colon = name.indexOf(':');
  const provider = name.slice(0, Math.max(0, colon));
  const known = Object.hasOwn(PROVIDERS, provider) ? PROVIDERS[provider] : undefined;
  return [known ?? (provider || name), name.slice(colon + 1)];
}
