// What makes a scenario impossible to play. Asked of all scenarios before the first one runs.

import type { Agent } from '../../agents/agent.ts';
import { bindAgent } from '../../app/bind-agent.ts';
import { isAgent, noLog } from '../../app/create-app.ts';
import { nearestName } from '../../base/nearest-name.ts';
import type { Tool } from '../../tools/tool.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import type { Scenario } from './scenario.ts';
import { problemsOfSettings } from './stage-settings.ts';
import type { Step } from './step.ts';
import { hasEffects, isTool } from './tool-stand-ins.ts';

/** One line for each problem, with its line number. */
export function problemsOf(
  scenario: Scenario,
  cast: Cast,
  options: PlayOptions,
): readonly string[] {
  const agents = agentsOf(cast);
  const known = knownTools(agents, cast);
  const isPlayedByModel = agents.some(({ bind }) => bind !== undefined);
  const problems = scenario.steps.flatMap((step) => {
    const problem = problemOf(step, scenario, known, isPlayedByModel, options);
    return problem === undefined ? [] : [`line ${step.lineNumber}: ${problem}`];
  });
  return [...problems, ...problemsOfSettings(scenario), ...problemsOfAgent(scenario, cast)];
}

interface KnownTools {
  readonly tools: ReadonlyMap<string, Tool>;
  /** Whether there are no others: some agents choose their tools for each turn. */
  readonly isComplete: boolean;
}

/** One agent, or several. */
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
    return 'caller needs a model that plays them: --eval-model openai:gpt-6-luna';
  if (step.name === 'kill' && openStage === undefined)
    return 'kill needs a process of its own: add --process';
  if (step.name === 'model' && !isPlayedByModel)
    return 'the agent asks no model, so none can be scripted';
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

function toolsNamedIn(step: Step): readonly string[] {
  switch (step.name) {
    case 'mock':
      return [step.tool];
    case 'real':
      return step.tools;
    case 'expect-tool':
    case 'expect-no-tool':
      return [step.expected.tool];
    case 'model':
      return typeof step.part === 'object' && 'call' in step.part ? [step.part.call] : [];
    case 'interrupt':
    case 'drop':
    case 'deliver-again':
    case 'restart':
    case 'kill':
      return step.at !== undefined && 'tool' in step.at ? [step.at.tool] : [];
    default:
      return [];
  }
}

function problemsOfAgent({ agent: name, steps }: Scenario, { agent }: Cast): readonly string[] {
  if (name === undefined || isAgent(agent) || Object.hasOwn(agent, name)) return [];
  const line = steps.find((step) => step.name === 'agent')?.lineNumber;
  const known = Object.keys(agent).join(', ');
  return [`line ${line}: there is no agent ${name} here; there is ${known}`];
}

/** What allows a tool with effects. */
export function remedyFor(tool: string): string {
  return `add "mock ${tool} returns …", or "real ${tool}" if it may run here`;
}
