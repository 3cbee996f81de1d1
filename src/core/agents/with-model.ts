import type { ChatModel } from '../models/model.ts';
import type { Agent } from './agent.ts';

/**
 * The agent, using this model instead of the one it or the settings name, so it needs no API key.
 * Throws a `TypeError` for an agent that does not use a model.
 */
export function withModel(agent: Agent, model: ChatModel): Agent {
  const { bind } = agent;
  if (bind === undefined) throw new TypeError(`agent "${agent.name}" does not use a model`);
  return {
    ...agent,
    bind: (resources) =>
      bind.call(agent, { ...resources, openModel: () => resources.openModel(model) }),
  };
}
