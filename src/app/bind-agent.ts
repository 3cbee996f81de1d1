import type { Agent, AgentResources, BoundAgent } from '../agents/agent.ts';
import type { Logger } from '../log.ts';
import { openModel } from '../models/open-model.ts';
import { defaultModelName } from '../models/providers.ts';
import type { Settings } from '../settings/settings.ts';

/** Gives an agent its models if it uses any. Other agents are returned unchanged. */
export function bindAgent(
  agent: Agent,
  settings: Settings,
  log: Logger,
  fetch?: typeof globalThis.fetch,
): BoundAgent {
  return agent.bind?.(resourcesFor(settings, log, fetch)) ?? agent;
}

/**
 * The default of `DEFAULT_MODEL` if no provider has a key. `/ready` then reports the missing key.
 */
const FALLBACK_MODEL = 'openai:gpt-6-luna';

function resourcesFor(
  settings: Settings,
  log: Logger,
  fetch: typeof globalThis.fetch | undefined,
): AgentResources {
  const { environment, models, fastModel, slowModel, fillerAfterMs } = settings;
  const { temperature, maxOutputTokens } = settings;
  return {
    openModel(given) {
      if (typeof given === 'object') return given;
      const listed = given?.split(',').map((name) => name.trim()) ?? models;
      let isOpened = false;
      const { model } = openModel({
        names: listed.length > 0 ? listed : [defaultModelName(environment) ?? FALLBACK_MODEL],
        environment,
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
  };
}
