import type { State } from './state.ts';
import type { Tool } from './tool.ts';

/**
 * The tools of an agent, which may come from anywhere. Throws a `TypeError` that names what is
 * wrong with them: vendors refuse two of one name in every turn.
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
      const cure = 'give both the same value of defineState';
      throw new TypeError(`${agent}: its tool ${name} has another state; ${cure}`);
    }
  }
}
