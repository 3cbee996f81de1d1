import type { Agent, AgentResources, BoundAgent } from '../agents/agent.ts';
import type { Logger } from '../log.ts';
import { openModel } from '../models/open-model.ts';
import { defaultModelName } from '../models/providers.ts';
import type { Settings } from '../settings/settings.ts';

/** Gives an agent that speaks with a model what it needs; any other is left as it is. */
export function bindAgent(
  agent: Agent,
  settings: Settings,
  log: Logger,
  fetch?: typeof globalThis.fetch,
): BoundAgent {
  return agent.bind?.(resourcesFor(settings, log, fetch)) ?? agent;
}

/**
 * The default of `DEFAULT_MODEL` when no provider has a key. It is named as the one that lacks it.
 */
const FALLBACK_MODEL = 'openai:gpt-5-nano';

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
          // What is missing from the start is in `model.problems()`, for /ready and the server.
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
