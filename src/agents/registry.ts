import { access } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { Agent } from './agent.ts';
import { createBakery } from './bakery.ts';
import { defineAgent, type AgentDefinition } from './define-agent.ts';
import { echo } from './echo.ts';
import { createOutdoorShop } from './outdoor-shop.ts';
import { createRelay } from './relay.ts';
import { slow } from './slow.ts';
import { createStarter } from './starter.ts';

/** Made when they are asked for: an agent's prompt and data are read then, and its state is its own. */
const BUILT_IN: ReadonlyMap<string, () => Agent> = new Map([
  ['bakery', createBakery],
  ['echo', () => echo],
  ['outdoor_shop', createOutdoorShop],
  ['relay', () => createRelay('echo')],
  ['relay:shadow', () => createRelay('shadow')],
  ['relay:speculative', () => createRelay('speculative')],
  ['slow', () => slow],
  ['starter', createStarter],
]);

/** The reference document's spelling of a name, and a mode in full. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['slow_agent', 'slow'],
  ['relay:echo', 'relay'],
]);

/** No agent of that name, or none in that file. The message lists what there is. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code = 'ERR_AGENT';
}

/** The built-in agents, in the order of their names. */
export function listAgents(): readonly Agent[] {
  return [...BUILT_IN.values()].map((create) => create());
}

/** A built-in agent. Throws an `AgentError` that lists the available agents for any other name. */
export function getAgent(name: string): Agent {
  const create = BUILT_IN.get(ALIASES.get(name) ?? name);
  if (create !== undefined) return create();
  throw new AgentError(`unknown agent "${name}"; available agents: ${[...BUILT_IN.keys()].join(', ')}; or the path of a module, such as ./my-agent.js`);
}

/**
 * A built-in agent by its name, or the default export of a module by its path (with a slash, or ending in .js, .mjs or .ts),
 * relative to `directory`. TypeScript is loaded where Node can (22.18 and later, or under a loader). Rejects with an `AgentError`.
 */
export async function loadAgent(nameOrPath: string, directory: string = process.cwd()): Promise<Agent> {
  if (!/[/\\]|\.[cm]?[jt]s$/.test(nameOrPath)) return getAgent(nameOrPath);
  const path = resolve(directory, nameOrPath);
  try {
    await access(path);
  } catch (cause) {
    throw new AgentError(`cannot read agent module ${path}`, { cause });
  }
  let loaded: { readonly default?: unknown };
  try {
    loaded = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
  } catch (cause) {
    const hint = isUnknownExtension(cause) ? `; Node ${process.versions.node} does not load TypeScript: compile it, or use Node 22.18 or later` : '';
    throw new AgentError(`agent module ${path} failed to load: ${cause instanceof Error ? cause.message : String(cause)}${hint}`, { cause });
  }
  if (loaded.default === undefined) throw new AgentError(`agent module ${path} has no default export; write "export default defineAgent({ … })"`);
  try {
    return defineAgent(loaded.default as AgentDefinition); // checked there, field by field
  } catch (cause) {
    throw new AgentError(`agent module ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function isUnknownExtension(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ERR_UNKNOWN_FILE_EXTENSION' || error.code === 'ERR_UNKNOWN_MODULE_FORMAT');
}
