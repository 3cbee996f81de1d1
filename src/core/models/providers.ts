// The vendors that speak the Chat Completions wire, one row each. Each peculiarity of a vendor is a
// column.

import { hash } from 'node:crypto';

import type { Environment } from '../../base/environment.ts';
import { ModelError } from './model.ts';

export interface Provider {
  /** Undefined if the user must set `<PROVIDER>_BASE_URL`. */
  readonly baseUrl: string | undefined;
  /** The variables that may hold the key. The first one that is set wins. */
  readonly keyNames: readonly string[];
  /**
   * False for servers that users run themselves. They get a key only if one is set. Default true.
   */
  readonly isKeyRequired?: boolean;
  /** Small and fast. Used if `DEFAULT_MODEL` is not set. */
  readonly defaultModel?: string;
  /**
   * False if the vendor refuses `stream_options`. Such a vendor reports the usage anyway. Default
   * true.
   */
  readonly takesStreamOptions?: boolean;
  /** The `reasoning_effort` that makes a model answer soonest. Undefined sends none. */
  readonly reasoningEffort?: (model: string) => string | undefined;
  /** False for a model that accepts no `temperature`. Default true. */
  readonly takesTemperature?: (model: string) => boolean;
  /** The field that bounds a reply. Default `max_tokens`. */
  readonly maxTokensField?: 'max_completion_tokens';
  /** False if the vendor ignores `tool_choice`. Default true. */
  readonly takesToolChoice?: boolean;
  /** Whether the vendor, at its own address, accepts `prompt_cache_key`. Default false. */
  readonly takesCacheKey?: boolean;
  /** Rewrites a tool call's id if the vendor refuses other vendors' ids. */
  readonly toolCallId?: (id: string) => string;
  /**
   * True if the vendor serves its own models. Others run open models: their chat templates insist
   * on an order of roles, and their text may contain thoughts. Default false.
   */
  readonly servesOwnModels?: boolean;
  /** Whether a tool call must be sent back with the `extra_content` that it came with. */
  readonly signsToolCalls?: (model: string) => boolean;
}

/** Fields that `providerOptions` cannot set, because the request is built around them. */
export const FIXED_FIELDS: readonly string[] = ['model', 'messages', 'tools', 'stream'];

/**
 * Values by version, each confirmed by a vendor's refusal:
 *
 * - gpt-5, -mini and -nano: `minimal`. They do not know `none`.
 * - gpt-5.1 and later: `none`. They answer 400 to `minimal` (openai/openai-agents-python#2089).
 *   With tools, gpt-5.4 and later answer 400 to any other effort (openai/openai-openapi#541), and
 *   gpt-5.6 and later even if none is sent (BerriAI/litellm#34569). gpt-6-luna is one of them
 *   (docs.litellm.ai/blog/gpt_6_sol_luna).
 * - gpt-6-astra, gpt-6.1-sol and their successors: `low`. They refuse `none`
 *   (BerriAI/litellm-docs#1173).
 * - pro, chat and codex variants accept only one or two values of their own
 *   (anomalyco/opencode#26268). They keep their default.
 */
function openaiEffort(model: string): string | undefined {
  if (/-(?:pro|chat|codex)\b/.test(model)) return undefined;
  if (/^gpt-5(?:-|$)/.test(model)) return 'minimal';
  if (/^gpt-(?:[6-9][.\d]*-astra|6\.\d+-sol)\b/.test(model)) return 'low';
  return /^gpt-(?:5\.|[6-9])/.test(model) ? 'none' : undefined;
}

/**
 * gpt-5 and the o series accept only the default. gpt-5.1 and later accept others as long as they
 * do not reason (BerriAI/litellm#17011), which is what `openaiEffort` asks for where it can.
 */
function openaiTakesTemperature(model: string): boolean {
  if (/^gpt-5-chat/.test(model)) return true;
  return !/^(?:gpt-5(?:-|$)|o\d)/.test(model) && openaiEffort(model) !== 'low';
}

/**
 * 2.5 Flash can be told not to think. Later Flash-Lite models think least by default. The larger
 * models refuse `minimal` on this wire or altogether (discuss.ai.google.dev/t/117875,
 * BerriAI/litellm-docs#1505), so `low` is the lowest value that all accept.
 */
function googleEffort(model: string): string | undefined {
  if (/^gemini-2\.5-flash/.test(model)) return 'none';
  if (model.includes('flash-lite')) return undefined;
  return /^gemini-(?:2\.5|[3-9])/.test(model) ? 'low' : undefined;
}

/** Mistral accepts only ids of nine letters and digits. Ids of other models become a hash. */
function mistralToolCallId(id: string): string {
  return /^[a-zA-Z0-9]{9}$/.test(id) ? id : hash('sha256', id, 'hex').slice(0, 9);
}

/** OpenAI accepts at most 40 characters, Anthropic only these kinds. Other ids become a hash. */
function strictToolCallId(id: string): string {
  return /^[\w-]{1,40}$/.test(id) ? id : hash('sha256', id, 'hex').slice(0, 40);
}

export const PROVIDERS: Readonly<Record<string, Provider>> = {
  openai: {
    baseUrl: 'https://api.openai.com/v1',
    keyNames: ['OPENAI_API_KEY'],
    servesOwnModels: true,
    defaultModel: 'gpt-6-luna',
    reasoningEffort: openaiEffort,
    takesTemperature: openaiTakesTemperature,
    // gpt-5 and the o series refuse `max_tokens` (griptape-ai/ComfyUI-Griptape#312).
    maxTokensField: 'max_completion_tokens',
    takesCacheKey: true, // https://platform.openai.com/docs/guides/prompt-caching
    toolCallId: strictToolCallId,
  },
  google: {
    // https://ai.google.dev/gemini-api/docs/openai
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai',
    keyNames: ['GOOGLE_GENERATIVEAI_API_KEY', 'GOOGLE_GENERATIVE_AI_API_KEY', 'GEMINI_API_KEY'],
    servesOwnModels: true,
    // The successor of gemini-2.5-flash, which Google shuts down on 2026-12-01:
    // https://ai.google.dev/gemini-api/docs/deprecations
    defaultModel: 'gemini-3.5-flash-lite',
    reasoningEffort: googleEffort,
    signsToolCalls: (model) => !/^gemini-[12]\b/.test(model),
  },
  anthropic: {
    // https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk
    baseUrl: 'https://api.anthropic.com/v1',
    keyNames: ['ANTHROPIC_API_KEY'],
    servesOwnModels: true,
    defaultModel: 'claude-haiku-4-5',
    toolCallId: strictToolCallId,
  },
  groq: { baseUrl: 'https://api.groq.com/openai/v1', keyNames: ['GROQ_API_KEY'] },
  mistral: {
    baseUrl: 'https://api.mistral.ai/v1',
    keyNames: ['MISTRAL_API_KEY'],
    servesOwnModels: true,
    takesStreamOptions: false, // 422 extra_forbidden (openai/openai-agents-python#442)
    toolCallId: mistralToolCallId,
  },
  openrouter: { baseUrl: 'https://openrouter.ai/api/v1', keyNames: ['OPENROUTER_API_KEY'] },
  xai: { baseUrl: 'https://api.x.ai/v1', keyNames: ['XAI_API_KEY'], servesOwnModels: true },
  deepseek: {
    baseUrl: 'https://api.deepseek.com/v1',
    keyNames: ['DEEPSEEK_API_KEY'],
    servesOwnModels: true,
  },
  together: { baseUrl: 'https://api.together.xyz/v1', keyNames: ['TOGETHER_API_KEY'] },
  ollama: {
    baseUrl: 'http://localhost:11434/v1',
    keyNames: ['OLLAMA_API_KEY'],
    isKeyRequired: false,
    takesToolChoice: false, // https://docs.ollama.com/api/openai-compatibility
  },
  lmstudio: {
    baseUrl: 'http://localhost:1234/v1',
    keyNames: ['LMSTUDIO_API_KEY'],
    isKeyRequired: false,
  },
  // No default: vLLM's is port 8000, which is ours, so the server would call itself.
  vllm: { baseUrl: undefined, keyNames: ['VLLM_API_KEY'], isKeyRequired: false },
  llamacpp: {
    baseUrl: 'http://localhost:8080/v1',
    keyNames: ['LLAMACPP_API_KEY', 'LLAMA_API_KEY'],
    isKeyRequired: false,
  },
};

/** If no model is named, the first of these with a key is used. */
const DEFAULT_ORDER = ['openai', 'google', 'anthropic'];

interface ModelName {
  readonly providerName: string;
  readonly provider: Provider;
  /** The vendor's own name. May contain colons and slashes: `llama3.2:3b`. */
  readonly model: string;
}

/**
 * Parses `provider:model`. Throws a `ModelError` with code `bad_model_name` that lists the known
 * providers.
 */
export function parseModelName(name: string): ModelName {
  const colon = name.indexOf(':');
  const providerName = name.slice(0, Math.max(colon, 0)).trim();
  const model = name.slice(colon + 1).trim();
  const provider = Object.hasOwn(PROVIDERS, providerName) ? PROVIDERS[providerName] : undefined;
  if (provider === undefined || model === '') {
    const known = Object.keys(PROVIDERS).join(', ');
    const rule = `a model is named provider:model with a provider of ${known}`;
    throw new ModelError('bad_model_name', `${rule}; got ${JSON.stringify(name)}`);
  }
  return { providerName, provider, model };
}

/** The default model of the first of OpenAI, Google and Anthropic that has a key, or undefined. */
export function defaultModelName(environment: Environment): string | undefined {
  for (const providerName of DEFAULT_ORDER) {
    const provider = PROVIDERS[providerName];
    if (provider?.defaultModel !== undefined && findKey(provider, environment) !== undefined) {
      return `${providerName}:${provider.defaultModel}`;
    }
  }
  return undefined;
}

/** The first key that is set for a provider, and the variable that holds it. */
export function findKey(
  provider: Provider,
  environment: Environment,
): { readonly keyName: string; readonly key: string } | undefined {
  for (const keyName of provider.keyNames) {
    const key = environment[keyName]?.trim() ?? '';
    if (key !== '') return { keyName, key };
  }
  return undefined;
}

/** The variable that overrides a provider's base URL: `openai` → `OPENAI_BASE_URL`. */
export function baseUrlName(providerName: string): string {
  return `${providerName.toUpperCase()}_BASE_URL`;
}
