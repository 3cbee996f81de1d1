// Turns names and environment variables into the model an agent uses: each model with retries, all
// of them with fallbacks.

import type { Environment } from '../../base/environment.ts';
import { metered, type Meter } from './metered-model.ts';
import { ModelError, type ChatModel, type DefaultOptions, type ModelErrorCode } from './model.ts';
import { loadedOnDemand } from './on-demand.ts';
import { baseUrlName, findKey, parseModelName } from './providers.ts';
import type { RetryOptions } from './retry.ts';
import type { Timeouts } from './timeouts.ts';

/** Which models to open, and what their requests use. */
export interface OpenModelOptions {
  /** `provider:model`, at least one. The later ones are fallbacks. */
  readonly names: readonly string[];
  readonly environment: Environment;
  readonly fetch?: typeof fetch;
  /** Used if a request sets none. */
  readonly defaults?: DefaultOptions;
  /**
   * Called with one sentence for each missing setting, and for each problem of a request that has
   * no `onProblem` of its own. For the log. Never contains a key.
   */
  readonly onProblem?: (message: string) => void;
  /** Counts each request, including retries and fallbacks. Default: none. */
  readonly meter?: Meter | undefined;
  /** Replaces the defaults, including the shorter ones of models with a fallback. For tests. */
  readonly timeouts?: Partial<Timeouts>;
  readonly retry?: RetryOptions;
}

/** One model that stands for all names, and what it lacks. */
export interface OpenedModel {
  readonly model: ChatModel;
  /**
   * Settings missing at start-up, one sentence per model. `model.problems()` reports them too,
   * together with later problems.
   */
  readonly problems: readonly string[];
}

/** A model by its name, and what the environment has for it. */
type NamedModel = ReturnType<typeof namedModel>;

interface Problem {
  readonly code: ModelErrorCode;
  readonly message: string;
}

/**
 * Opens the named models. Makes no connection: the vendors' code is loaded when a model is first
 * warmed or asked.
 *
 * A model with missing settings is left out and stays in `problems`. If none is left, every stream
 * of the returned model throws a `ModelError` with code `key_missing` or `bad_base_url`.
 *
 * Throws a `ModelError` with code `bad_model_name` for an unknown provider, and a `RangeError` if
 * there are no names.
 */
export function openModel(options: OpenModelOptions): OpenedModel {
  const { names, onProblem } = options;
  const entries = names.map((name) => {
    const named = namedModel(name, options.environment);
    return { named, problem: findProblem(named) };
  });
  const found = entries.flatMap(({ problem }) => problem ?? []);
  const problems = found.map(({ message }) => message);
  for (const message of problems) onProblem?.(message);
  const usable = entries.flatMap(({ named, problem }) => (problem === undefined ? [named] : []));
  if (usable.length === 0) return { model: createUnusableModel(names.join(','), found), problems };
  const model = loadedOnDemand(usable.map(({ name }) => name).join(','), async () => {
    const { withFallbacks } = await loadWire();
    const models = await Promise.all(
      usable.map((named, index) => open(named, index < usable.length - 1, options)),
    );
    return withFallbacks(models);
  });
  return {
    model: {
      ...model,
      stream: (messages, given) =>
        model.stream(messages, { ...given, onProblem: given.onProblem ?? onProblem }),
      problems: () => [...problems, ...model.problems()],
    },
    problems,
  };
}

let wire: Promise<typeof import('./wire.ts')> | undefined;

/**
 * Imports once. TypeScript loaders resolve a module at every `import()`, so that models could be
 * opened out of order.
 */
function loadWire(): Promise<typeof import('./wire.ts')> {
  return (wire ??= import('./wire.ts'));
}

function namedModel(name: string, environment: Environment) {
  const parsed = parseModelName(name);
  const { providerName, provider } = parsed;
  const urlName = baseUrlName(providerName);
  const baseUrl = environment[urlName]?.trim() || provider.baseUrl || '';
  const found = findKey(provider, environment);
  return { ...parsed, name, urlName, baseUrl: baseUrl.replace(/\/+$/, ''), found };
}

async function open(
  { name, provider, model, baseUrl, found }: NamedModel,
  hasFallback: boolean,
  options: OpenModelOptions,
): Promise<ChatModel> {
  const { chatCompletionsModel, TIMEOUTS_BEFORE_FALLBACK, withRetries } = await loadWire();
  // A vendor's own models send no thoughts as text: their whole reply would count as one.
  const isVendor = provider.servesOwnModels === true && baseUrl === provider.baseUrl;
  const completions = chatCompletionsModel({
    name,
    provider,
    model,
    baseUrl,
    beginsAsThought: options.environment['THINKING'] === 'open' && !isVendor,
    key: found?.key,
    ...(found === undefined ? {} : { keyNames: [found.keyName] }),
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    ...(options.defaults === undefined ? {} : { defaults: options.defaults }),
    timeouts: { ...(hasFallback ? TIMEOUTS_BEFORE_FALLBACK : {}), ...options.timeouts },
  });
  const { meter, retry } = options;
  return withRetries(meter === undefined ? completions : metered(completions, meter), retry);
}

function findProblem(
  { name, provider, urlName, baseUrl, found }: NamedModel,
): Problem | undefined {
  if (baseUrl === '') {
    const example = 'http://localhost:8001/v1';
    const message = `${urlName} is not set, but model ${name} needs it (for example ${example})`;
    return { code: 'bad_base_url', message };
  }
  // Without the value: it may hold a password.
  if (!isBaseUrl(baseUrl)) {
    const rule = 'must be an http(s) URL without user name, password or query';
    return { code: 'bad_base_url', message: `${urlName} ${rule}, as model ${name} needs it` };
  }
  if (found === undefined) {
    if (provider.isKeyRequired === false) return undefined;
    const [firstName, ...others] = provider.keyNames;
    const also = others.length === 0 ? '' : ` (nor ${others.join(' or ')})`;
    const message = `${firstName} is not set${also}, but model ${name} needs it`;
    return { code: 'key_missing', message };
  }
  // fetch would throw an error that quotes the key.
  if (!/^[\x21-\x7e]+$/.test(found.key)) {
    const fault = 'contains blanks, line breaks or non-ASCII characters';
    const message = `${found.keyName} ${fault}, so model ${name} cannot use it`;
    return { code: 'key_missing', message };
  }
  return undefined;
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
    // A generator, so that the error comes when the first delta is read, as all other errors do.
    stream: async function* () {
      throw new ModelError(first.code, messages.join('; '));
    },
    warm: () => Promise.resolve(),
    problems: () => messages,
    isUsable: () => false,
  };
}
