import { knowInAnyCopy } from '../../../base/any-copy.ts';
import type { Agent } from '../agent.ts';
import { createBakery } from './bakery.ts';
import { echo } from './echo.ts';
import { createOutdoorShop } from './outdoor-shop.ts';
import { createRelay } from './relay.ts';
import { slow } from './slow.ts';
import { createStarter } from './starter.ts';

/** Created on demand: an agent's prompt and data are read then, and its state is its own. */
const BUILT_IN: ReadonlyMap<string, () => Agent> = new Map([
  ['bakery', createBakery],
  ['echo', () => echo],
  ['outdoor_shop', createOutdoorShop],
  ['relay', () => createRelay('relay')],
  ['relay:shadow', () => createRelay('relay:shadow')],
  ['relay:speculative', () => createRelay('relay:speculative')],
  ['slow', () => slow],
  ['starter', createStarter],
]);

/** Other spellings: a name from the reference document, and a mode written in full. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['slow_agent', 'slow'],
  ['relay:echo', 'relay'],
]);

/** There is no agent with that name, or none in that file. The message lists the known agents. */
export class AgentError extends Error {
  static { knowInAnyCopy(this, 'AgentError'); }
  override readonly name = 'AgentError';
  readonly code = 'ERR_AGENT';
}

/** The built-in agents, by name. */
export function listAgents(): readonly Agent[] {
  return [...BUILT_IN.values()].map((create) => create());
}

/** A built-in agent. For an unknown name throws an `AgentError` that lists the known ones. */
export function getAgent(name: string): Agent {
  const create = BUILT_IN.get(ALIASES.get(name) ?? name);
  if (create !== undefined) return create();
  throw new AgentError(
    `unknown agent "${name}"; available agents: ${[...BUILT_IN.keys()].join(', ')}; or the path of a module, for example ./my-agent.js`,
  );
}
