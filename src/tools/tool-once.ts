// What is known of the tools of an app's agents, above all of those that act once.

/** What an app has to know about a tool. */
export interface KnownTool {
  readonly name: string;
  /** Set if it acts once per conversation. */
  readonly once: unknown;
}

/** An agent, as far as its tools are known. */
interface ToolOwner {
  /** Undefined if each turn makes its own. */
  readonly tools?: readonly KnownTool[];
}

/** Names of the tools that act once. Tools that each turn makes for itself are not known. */
export function onceToolsOf(agents: Iterable<ToolOwner>): readonly string[] {
  const names = [...toolsOf(agents)].filter(({ once }) => once !== undefined);
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
    throw new TypeError(`two tools are called "${tool.name}", and one acts once: ${cure}`);
  }
}

/** Whether one of the agents has a tool of that name, as far as is known. */
export function hasTool(agents: Iterable<ToolOwner>, name: string): boolean {
  for (const tool of toolsOf(agents)) if (tool.name === name) return true;
  return false;
}

function* toolsOf(agents: Iterable<ToolOwner>): Generator<KnownTool> {
  for (const { tools = [] } of agents) yield* tools;
}
