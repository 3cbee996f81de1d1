import type { Logger } from '../../base/log.ts';
import type { Agent, BoundAgent } from '../../core/agents/agent.ts';
import { metered } from '../../core/models/metered-model.ts';
import { openModel } from '../../core/models/open-model.ts';
import { sumOfTokens } from '../../core/models/prices.ts';
import { defaultModelName, findKey, PROVIDERS } from '../../core/models/providers.ts';
import { CallLimits } from '../../core/turns/call-limits.ts';
import type { Settings } from '../settings/settings.ts';
import type { Prices } from './prices.ts';

interface BindingOptions {
  /** Default: models need no price. */
  readonly prices?: Prices;
  /** Default: calls have no limit. */
  readonly limits?: CallLimits | undefined;
  /** For models. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** See `AgentResources`. */
  readonly onOnceTool?: ((name: string) => void) | undefined;
}

/** Whether a model that the settings name, or the default one, has a key. */
export function hasUsableModel(settings: Settings): boolean {
  const names = modelNames(settings);
  const { environment } = settings;
  return names.length > 0 && openModel({ names, environment }).model.isUsable();
}

/** Why none of these models can be used, and what to set. */
export function whyNoModel(settings: Settings): readonly [reason: string, remedy: string] {
  const names = modelNames(settings);
  const { environment } = settings;
  if (names.length > 0)
    return ['No model can be used', `${openModel({ names, environment }).problems.join('. ')}.`];
  for (const [name, provider] of Object.entries(PROVIDERS)) {
    const found = findKey(provider, environment);
    if (found !== undefined)
      return [`${found.keyName} is set, but no model`, `Set DEFAULT_MODEL=${name}:….`];
  }
  return ['No model has a key', 'Set OPENAI_API_KEY for an assistant, or AGENT=./my-agent.js.'];
}

function modelNames({ environment, models }: Settings): readonly string[] {
  return models.length > 0 ? models : [defaultModelName(environment) ?? []].flat();
}

/**
 * The default of `DEFAULT_MODEL` if no provider has a key. `/ready` then reports the missing key.
 */
const FALLBACK_MODEL = 'openai:gpt-6-luna';

/** Gives an agent its models if it uses any. Other agents are returned unchanged. */
export function bindAgent(
  agent: Agent,
  settings: Settings,
  log: Logger,
  { prices, limits, fetch, onOnceTool }: BindingOptions = {},
): BoundAgent {
  const { environment, models, fastModel, slowModel, fillerAfterMs } = settings;
  const { temperature, maxOutputTokens } = settings;
  const bound = agent.bind?.({
    openModel(given) {
      if (typeof given === 'object') {
        prices?.check(given.name.split(','));
        return limits === undefined ? given : metered(given, limits);
      }
      const listed = given?.split(',').map((name) => name.trim()) ?? models;
      const names = listed.length > 0 ? listed : [defaultModelName(environment) ?? FALLBACK_MODEL];
      prices?.check(names);
      let isOpened = false;
      const { model } = openModel({
        names,
        environment,
        meter: limits,
        defaults: { temperature, maxOutputTokens },
        onProblem: (problem) => {
          // Settings missing from the start are in `model.problems()`, for `/ready` and the
          // server.
          if (isOpened) log.warn('model', { problem });
        },
        ...(fetch === undefined ? {} : { fetch }),
      });
      isOpened = true;
      return model;
    },
    fastModel,
    slowModel,
    fillerAfterMs,
    onOnceTool,
  });
  return bound ?? agent;
}

/** What calls may use. `hasLimits` says whether the settings have a limit. */
export function callLimits(
  { maxCostPerCall: cost, maxTokensPerCall: tokens }: Settings,
  prices: Prices,
): CallLimits {
  return new CallLimits({
    cost,
    tokens,
    spentBy: (asked, answered, used) => ({
      tokens: sumOfTokens(used),
      // A user's own model may report any name.
      cost: prices.costOf(answered, used) ?? prices.costOf(asked, used) ?? 0,
    }),
  });
}
