import type { State } from '../agents/state/state.ts';
import type { Tool } from './tool.ts';

/**
 * Checks an agent's tools, whatever made them. Throws a `TypeError` that names the fault. Two
 * tools with one name would fail every turn, because vendors refuse them.
 */
export function checkTools(agentName: string, tools: unknown, state: State | undefined): void {
  const agent = `agent "${agentName}"`;
  if (!Array.isArray(tools)) throw new TypeError(`${agent}: tools must be a list`);
  const names = new Set<unknown>();
  for (const given of tools as readonly (Partial<Tool> | null | undefined)[]) {
    if (typeof given?.check !== 'function') {
      throw new TypeError(`${agent}: each of its tools must be made with tool({ … })`);
    }
    const { name } = given;
    if (names.has(name)) throw new TypeError(`${agent} has two tools named "${name}"`);
    names.add(name);
    if (given.state !== undefined && given.state !== state) {
      const fault =
        state === undefined ? 'has a state, and the agent has none' : 'has another state';
      const cure = 'pass the same defineState result to both';
      throw new TypeError(`${agent}: its tool ${name} ${fault}; ${cure}`);
    }
  }
}
