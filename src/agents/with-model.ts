import type { ChatModel } from '../models/model.ts';
import type { Agent } from './agent.ts';

/**
 * The agent, speaking with this model instead of the models that it names or the settings name. It
 * needs no key then. Throws a `TypeError` for an agent that speaks without a model.
 */
export function withModel(agent: Agent, model: ChatModel): Agent {
  const { bind } = agent;
  if (bind === undefined) throw new TypeError(`agent "${agent.name}" speaks without a model`);
  return {
    ...agent,
    bind: (resources) => bind.call(agent, { ...resources, openModel: () => model }),
  };
}
