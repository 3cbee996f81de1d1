// The tools of an agent, and what is known about those of all agents of an app.

import type { State } from '../state/state.ts';
import { AgentsError } from './agents-error.ts';
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
        state === undefined ? 'has a state, and the agent has none' : 'has a different state';
      const cure = 'pass the same defineState result to both';
      throw new TypeError(`${agent}: its tool ${name} ${fault}; ${cure}`);
    }
  }
}

/** What an app has to know about a tool. */
export interface KnownTool {
  readonly name: string;
  /** Set if it acts once per conversation. */
  readonly once: unknown;
  /** Whether a call with an unknown outcome may run again. Default false. */
  readonly repeatable?: boolean | undefined;
  readonly raw?: boolean | undefined;
  /** Set if it uses the agent's state. */
  readonly state?: unknown;
}

/** Maximum number of tools remembered per function of the turn, which may make up names. */
const MAX_MADE = 1_000;

/** The tools that a function of the turn has made so far. */
export class MadeTools {
  /** Grows. */
  readonly known: KnownTool[] = [];
  readonly #onOnceTool: (name: string) => void;

  /** `onOnceTool` is called once for each tool that acts once. */
  constructor(onOnceTool: (name: string) => void = () => undefined) {
    this.#onOnceTool = onOnceTool;
  }

  add(tools: readonly KnownTool[]): void {
    for (const { name, once, repeatable } of tools) {
      const isKnown = this.known.some((known) => known.name === name);
      if (isKnown || this.known.length >= MAX_MADE) continue;
      this.known.push({ name, once: once === undefined ? undefined : true, repeatable });
      if (once !== undefined) this.#onOnceTool(name);
    }
  }
}

/** An agent, as far as its tools are known. */
interface ToolOwner {
  /** Undefined if each turn makes its own. */
  readonly tools?: readonly KnownTool[];
  readonly madeTools?: readonly KnownTool[];
}

/** Names of the tools that act once. Tools that a function makes are not known at start-up. */
export function onceToolsOf(agents: Iterable<ToolOwner>): readonly string[] {
  const names = toolsOf(agents).filter(({ once }) => once !== undefined);
  return [...new Set(names.map(({ name }) => name))];
}

/**
 * Throws a `TypeError` if two different tools have one name, and one of them acts once. The keys of
 * its calls hold across a hand-over because they name the tool, not the agent, so the two would
 * share keys.
 */
export function checkOnceTools(agents: Iterable<ToolOwner>): void {
  const known = new Map<string, KnownTool>();
  for (const tool of toolsOf(agents)) {
    const other = known.get(tool.name) ?? tool;
    known.set(tool.name, other);
    if (other === tool || (other.once === undefined && tool.once === undefined)) continue;
    const cure = 'share one, or give them different names';
    throw new AgentsError(`two tools are called "${tool.name}", and one acts once: ${cure}`);
  }
}

/**
 * Why tools that are `repeatable` may fail, or act twice, when they run again: one sentence for
 * each. What a function of the turn makes is not known at start-up. `areValuesShared`: other
 * processes get the values that callers said.
 */
export function faultsOfRepeats(
  agents: Iterable<ToolOwner>,
  areValuesShared: boolean,
): readonly string[] {
  const faults = toolsOf(agents).flatMap(({ name, once, repeatable, raw, state }) => {
    if (repeatable !== true) return [];
    const isChanging = once !== undefined && state !== undefined;
    const isBound = raw === true && !areValuesShared;
    return [
      ...(isBound ? [`${name} needs values that only the process that heard them knows`] : []),
      ...(isChanging ? [`${name} may change the state again: it acts, and uses the state`] : []),
    ];
  });
  return [...new Set(faults)];
}

/** The tool of that name. Undefined if none of the agents is known to have one. */
export function toolNamed(agents: Iterable<ToolOwner>, name: string): KnownTool | undefined {
  return toolsOf(agents).find((tool) => tool.name === name);
}

function toolsOf(agents: Iterable<ToolOwner>): readonly KnownTool[] {
  return [...agents].flatMap(({ tools = [], madeTools = [] }) => [...tools, ...madeTools]);
}
