// Names and environment → the model an agent speaks with: retries around each name, fall-backs around all.

import { ModelError, type ChatModel, type ModelErrorCode } from './model.ts';
import type { Environment } from '../base/environment.ts';
import { loadedOnDemand } from './on-demand.ts';
import { baseUrlName, findKey, parseModelName, type ModelName } from './providers.ts';
import type { RetryOptions } from './retry.ts';
import type { TimeOuts } from './time-outs.ts';

export interface OpenModelOptions {
  /** `provider:model`, at least one; the later ones are fall-backs. */
  readonly names: readonly string[];
  readonly environment: Environment;
  readonly fetch?: typeof fetch;
  /** Told in one sentence of missing settings, refused keys and fall-backs taken; for the log. Never holds a key. */
  readonly onProblem?: (message: string) => void;
  /** In place of the defaults, fall-backs' shorter ones included. For tests. */
  readonly timeOuts?: Partial<TimeOuts>;
  readonly retry?: RetryOptions;
}

export interface OpenedModel {
  readonly model: ChatModel;
  /** What is missing at the start, one sentence a model; `model.problems()` goes on from there. */
  readonly problems: readonly string[];
}

interface Problem {
  readonly code: ModelErrorCode;
  readonly message: string;
}

/**
 * Opens the models named. One whose settings are missing is left out and stays named in the problems; with none left the model
 * exists and every stream throws a `ModelError`, code `key_missing` or `bad_base_url`. Connects to nothing, and loads what speaks with
 * vendors when a model is warmed or asked. Throws a
 * `ModelError` with code `bad_model_name` for an unknown provider, a `RangeError` for no names.
 */
export function openModel(options: OpenModelOptions): OpenedModel {
  const { names, onProblem } = options;
  const entries = names.map((name) => {
    const parsed = parseModelName(name);
    return { name, parsed, problem: findProblem(name, parsed, options.environment) };
  });
  const found = entries.flatMap(({ problem }) => problem ?? []);
  const problems = found.map(({ message }) => message);
  for (const message of problems) onProblem?.(message);
  const usable = entries.filter(({ problem }) => problem === undefined);
  if (usable.length === 0) return { model: createUnusableModel(names.join(','), found), problems };
  const model = loadedOnDemand(usable.map(({ name }) => name).join(','), async () => {
    const { withFallbacks } = await loadWire();
    const models = await Promise.all(
      usable.map(({ name, parsed }, index) =>
        open(name, parsed, index < usable.length - 1, options),
      ),
    );
    return withFallbacks(models, {
      onFallback: (error, next) => onProblem?.(`${error.message}; asking ${next.name}`),
    });
  });
  return { model: { ...model, problems: () => [...problems, ...model.problems()] }, problems };
}

let wire: Promise<typeof import('./wire.ts')> | undefined;

/** Once: loaders of TypeScript look a module up at every `import()`, and models would overtake each other. */
function loadWire(): Promise<typeof import('./wire.ts')> {
  return (wire ??= import('./wire.ts'));
}

async function open(
  name: string,
  { providerName, provider, model }: ModelName,
  hasFallBack: boolean,
  options: OpenModelOptions,
): Promise<ChatModel> {
  const { ChatCompletionsModel, TIME_OUTS_BEFORE_FALL_BACK, withRetries } = await loadWire();
  const { environment, onProblem } = options;
  const found = findKey(provider, environment);
  const baseUrl = baseUrlOf(providerName, provider.baseUrl, environment);
  // A vendor's own models send no thought as text, and all they say would be taken for one.
  const isVendor = provider.servesOwnModels === true && baseUrl === provider.baseUrl;
  const completions = new ChatCompletionsModel({
    name,
    provider,
    model,
    baseUrl,
    beginsAsThought: environment['THINKING'] === 'open' && !isVendor,
    key: found?.key,
    ...(found === undefined ? {} : { keyNames: [found.keyName] }),
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    timeOuts: { ...(hasFallBack ? TIME_OUTS_BEFORE_FALL_BACK : {}), ...options.timeOuts },
    onProblem,
  });
  return withRetries(completions, options.retry);
}

function findProblem(
  name: string,
  { providerName, provider }: ModelName,
  environment: Environment,
): Problem | undefined {
  const urlName = baseUrlName(providerName);
  const baseUrl = baseUrlOf(providerName, provider.baseUrl, environment);
  if (baseUrl === '') {
    return {
      code: 'bad_base_url',
      message: `${urlName} is not set, model ${name} needs it (http://localhost:8001/v1, say)`,
    };
  }
  // The value is not repeated: a password may be what is wrong with it.
  if (!isBaseUrl(baseUrl)) {
    return {
      code: 'bad_base_url',
      message: `${urlName} must be an http(s) URL without user name, password and query, model ${name} needs it`,
    };
  }
  const found = findKey(provider, environment);
  if (found === undefined) {
    if (!provider.isKeyRequired) return undefined;
    const [firstName, ...others] = provider.keyNames;
    const also = others.length === 0 ? '' : ` (nor ${others.join(' or ')})`;
    return {
      code: 'key_missing',
      message: `${firstName} is not set${also}, model ${name} needs it`,
    };
  }
  // fetch would throw, and quote the key in its message.
  if (!/^[\x21-\x7e]+$/.test(found.key)) {
    return {
      code: 'key_missing',
      message: `${found.keyName} has blanks, line breaks or non-ASCII characters in it, model ${name} needs a key`,
    };
  }
  return undefined;
}

function baseUrlOf(
  providerName: string,
  fallback: string | undefined,
  environment: Environment,
): string {
  return (environment[baseUrlName(providerName)]?.trim() || fallback || '').replace(/\/+$/, '');
}

function isBaseUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && username + password + search + hash === '';
}

function createUnusableModel(name: string, problems: readonly Problem[]): ChatModel {
  const [first] = problems;
  if (first === undefined) throw new RangeError('openModel needs at least one name');
  const messages = problems.map(({ message }) => message);
  return {
    name,
    // A generator, so that the error comes with the first delta as every other does.
    stream: async function* () {
      throw new ModelError(first.code, messages.join('; '));
    },
    warm: () => Promise.resolve(),
    problems: () => messages,
    isUsable: () => false,
  };
}
