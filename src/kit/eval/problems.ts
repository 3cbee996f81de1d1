// What makes a scenario impossible to play. Checked for all scenarios before the first one runs.

import type { JsonObject } from '../../base/json.ts';
import { noLog } from '../../base/log.ts';
import { nearestName } from '../../base/nearest-name.ts';
import type { Agent } from '../../core/agents/agent.ts';
import { hasEffects } from '../../core/tools/tool-run.ts';
import type { Tool } from '../../core/tools/tool.ts';
import { isAgent } from '../../server/app/assemble-app.ts';
import { bindAgent } from '../../server/app/bind-agent.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import type { Scenario } from './scenario.ts';
import type { Step } from './steps.ts';
import { isTool } from './tool-stand-ins.ts';

/** These act on the agent's own process. */
const OF_PROCESS: ReadonlySet<Step['name']> = new Set(['kill', 'store', 'elsewhere']);

/** Why the scenario can only be played with `--process`. Undefined if it does not need that. */
export function needsProcess({ steps }: Scenario): string | undefined {
  const step = steps.find(({ name }) => OF_PROCESS.has(name));
  return step && `line ${step.lineNumber}: ${needFor(step)}`;
}

function needFor({ name }: Step): string {
  return `${name} needs a process of its own: add --process`;
}

/** These look at what a model is asked or says, so the agent must ask one. */
const ASKING: ReadonlySet<Step['name']> =
  new Set(['expect-prompt', 'expect-no-prompt', 'expect-same-request', 'never-cut']);

/** One line for each problem, with its line number. */
export async function problemsOf(
  scenario: Scenario,
  cast: Cast,
  options: PlayOptions,
): Promise<readonly string[]> {
  const agents = agentsOf(cast);
  const known = knownTools(agents, cast);
  const isPlayedByModel = agents.some(({ bind }) => bind !== undefined);
  const problems: string[] = [];
  for (const step of scenario.steps) {
    const problem = problemOf(step, scenario, known, isPlayedByModel, options)
      ?? (await problemOfArguments(step, scenario, known));
    if (problem !== undefined) problems.push(`line ${step.lineNumber}: ${problem}`);
  }
  return [...problems, ...problemsOfStore(scenario), ...problemsOfAgent(scenario, cast)];
}

/** A process cannot open a store that is away, so no process may begin while it is. */
function problemsOfStore({ acts }: Scenario): readonly string[] {
  let isAway = false;
  let hasOther = false;
  return acts.flatMap((act) => {
    const step = act.name === 'exchange' ? act.trouble : act;
    if (step?.name === 'store') isAway = step.awayMs === Infinity;
    const begins = step?.name === 'kill' || (step?.name === 'elsewhere' && !hasOther);
    if (step?.name === 'elsewhere') hasOther = true;
    if (!begins || !isAway) return [];
    return [`line ${step.lineNumber}: ${step.name} starts a process, which cannot open a store `
      + 'that is away: add "store is back" above it'];
  });
}

interface KnownTools {
  readonly tools: ReadonlyMap<string, Tool>;
  /** Whether there are no other tools: some agents choose their tools for each turn. */
  readonly isComplete: boolean;
}

export function agentsOf({ agent }: Cast): readonly Agent[] {
  return isAgent(agent) ? [agent] : Object.values(agent);
}

function knownTools(agents: readonly Agent[], { settings }: Cast): KnownTools {
  const tools = new Map<string, Tool>();
  let isComplete = true;
  for (const agent of agents) {
    const { bind } = agent;
    if (bind === undefined) continue;
    const asked: Agent = {
      ...agent,
      bind: (resources) => bind.call(agent, {
        ...resources,
        replaceTool: (tool) => {
          if (isTool(tool)) tools.set(tool.name, tool);
          return tool;
        },
      }),
    };
    if (bindAgent(asked, settings, noLog()).tools === undefined) isComplete = false;
  }
  return { tools, isComplete };
}

function problemOf(
  step: Step,
  scenario: Scenario,
  { tools, isComplete }: KnownTools,
  isPlayedByModel: boolean,
  { allowsRealTools, judge, playedCaller, openStage }: PlayOptions,
): string | undefined {
  if (step.name === 'judge' && judge === undefined)
    return 'judge needs a model that judges: --eval-model openai:gpt-6-luna';
  if (step.name === 'caller' && playedCaller === undefined)
    return 'caller needs a model to play the caller: --eval-model openai:gpt-6-luna';
  if (OF_PROCESS.has(step.name) && openStage === undefined) return needFor(step);
  if (step.name === 'model' && !isPlayedByModel)
    return 'the agent asks no model, so none can be scripted';
  if (ASKING.has(step.name) && !isPlayedByModel)
    return 'the agent asks no model';
  if (step.name === 'never-acts-twice' && step.tools.length === 0 && isComplete) {
    const hasOnce = [...tools.values()].some(({ once }) => once !== undefined);
    if (!hasOnce) return 'no tool sets "once", so this cannot fail; name one: never-acts-twice pay';
  }
  for (const name of toolsNamedIn(step)) {
    if (tools.has(name) || !isComplete) continue;
    const meant = nearestName(name, [...tools.keys()], Math.floor(name.length / 3));
    const remedy = meant === undefined
      ? tools.size === 0 ? 'it has none' : `it has ${[...tools.keys()].join(', ')}`
      : `did you mean ${meant}?`;
    return `the agent has no tool ${name}; ${remedy}`;
  }
  if (step.name !== 'model' || allowsRealTools) return undefined;
  for (const name of toolsNamedIn(step)) {
    const tool = tools.get(name);
    if (tool === undefined || !hasEffects(tool) || scenario.realTools.has(name)) continue;
    if (scenario.steps.some((other) => other.name === 'mock' && other.tool === name)) continue;
    return `${name} has effects: ${remedyFor(name)}`;
  }
  return undefined;
}

/** A call that does not fit its tool is a mistake, unless the scenario expects the refusal. */
async function problemOfArguments(
  step: Step,
  { steps }: Scenario,
  { tools }: KnownTools,
): Promise<string | undefined> {
  if (step.name !== 'model' || typeof step.part !== 'object' || !('call' in step.part))
    return undefined;
  const { call, args = {} } = step.part;
  const tool = tools.get(call);
  if (tool === undefined || tool.raw) return undefined; // placeholders need not fit
  const checked = await tool.check(args as JsonObject);
  if (!('problem' in checked) || isRefusalExpected(call, steps.slice(steps.indexOf(step))))
    return undefined;
  return `${call} would refuse this: ${checked.problem}; `
    + `if that is intended, add "expect-tool ${call} refused"`;
}

/** Whether this turn expects the refusal, or a later turn does with `in all`. */
function isRefusalExpected(tool: string, steps: readonly Step[]): boolean {
  const next = steps.findIndex(({ name }) => name === 'say' || name === 'call');
  return steps.some((step, index) =>
    step.name === 'expect-tool'
    && step.tool === tool
    && step.outcome === 'refused'
    && (next === -1 || index < next || step.isInAll));
}

function toolsNamedIn(step: Step): readonly string[] {
  if ('tools' in step) return step.tools;
  if ('tool' in step) return [step.tool];
  if ('part' in step)
    return typeof step.part === 'object' && 'call' in step.part ? [step.part.call] : [];
  return 'at' in step && step.at !== undefined && 'tool' in step.at ? [step.at.tool] : [];
}

function problemsOfAgent({ agent: name, steps }: Scenario, { agent }: Cast): readonly string[] {
  if (name === undefined || isAgent(agent) || Object.hasOwn(agent, name)) return [];
  const line = steps.find((step) => step.name === 'agent')?.lineNumber;
  const known = Object.keys(agent).join(', ');
  return [`line ${line}: there is no agent ${name} here; the agents are ${known}`];
}

/** What allows a tool with effects. */
export function remedyFor(tool: string): string {
  return `add "mock ${tool} returns …", or "real ${tool}" if it may run here`;
}
