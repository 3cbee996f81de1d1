import { setTimeout } from 'node:timers/promises';

import { aborted } from '../../base/abort.ts';
import { messageOf } from '../../base/thrown-values.ts';
import type { KnownTool } from '../../core/agents/agent.ts';
import { handOver } from '../../core/tools/tool-hand-over.ts';
import { NotDone } from '../../core/tools/tool-not-done.ts';
import { resultText } from '../../core/tools/tool-result.ts';
import { hasEffects } from '../../core/tools/tool-run.ts';
import type { Tool, ToolContext } from '../../core/tools/tool.ts';
import type { Notes } from './notebook.ts';
import type { Stage } from './stage.ts';
import type { Mock } from './stand-in-lines.ts';
import type { ToolMoment } from './steps.ts';

interface StandInOptions {
  /** Tools with effects that run as they are. */
  readonly realTools: ReadonlySet<string>;
  /** Whether all tools with effects do. */
  readonly allowsAll: boolean;
  readonly notes: Notes;
}

interface ToolStandIns extends Pick<Stage, 'mock' | 'hold' | 'release'> {
  /** For `AgentResources`. */
  readonly replace: <T extends KnownTool>(tool: T) => T;
}

/**
 * Tools that report when they run. A mock replaces only `run`: arguments are still checked, and
 * `once`, time limits and interruptions work as usual.
 */
export function toolStandIns({ realTools, allowsAll, notes }: StandInOptions): ToolStandIns {
  const mocks = new Map<string, Mock>();
  /** One per tool: agents that share a tool must go on sharing it. */
  const made = new WeakMap<object, object>();
  let runs = 0;
  let held: (ToolMoment & { readonly end: AbortController }) | undefined;

  function tellHeld({ name, tellBrowser }: Tool): void {
    if (held?.tool === name) notes.toolHeld(name, tellBrowser !== 'nothing');
  }

  /** The tool has been called or has done its work. Nothing more happens before the trouble. */
  async function wait(tool: Tool, { signal }: ToolContext, isBeginning: boolean): Promise<void> {
    if (held?.tool !== tool.name || held.isBeginning !== isBeginning) return;
    tellHeld(tool);
    await aborted(AbortSignal.any([held.end.signal, signal]));
  }

  async function run(tool: Tool, args: unknown, context: ToolContext): Promise<unknown> {
    const { name } = tool;
    const mock = mocks.get(name);
    if (mock === undefined && hasEffects(tool) && !allowsAll && !realTools.has(name)) {
      notes.toolBarred(name);
      throw new NotDone('this tool does not run here');
    }
    const id = `${process.pid}.${++runs}` as const;
    const { idempotencyKey: key, signal } = context;
    const onceKey = tool.once === undefined ? undefined : `${name} ${key}`;
    notes.toolBegan(id, { tool: name, args: structuredClone(args), onceKey, key });
    if (mock?.outcome.kind === 'hangs') tellHeld(tool);
    await wait(tool, context, true);
    try {
      const result = await (mock === undefined
        ? tool.run(args, context)
        : runMock(mock, context.signal));
      await wait(tool, context, false);
      notes.toolOver(id, { state: 'completed', result: asJson(result), hasActed: true });
      return result;
    } catch (error) {
      await wait(tool, context, false);
      const isCut = signal.aborted && error === signal.reason;
      const hasActed = !(error instanceof NotDone) && !(isCut && mock !== undefined);
      const cut = isCut ? { isCut } as const : {};
      notes.toolOver(id, { state: 'failed', result: messageOf(error), hasActed, ...cut });
      throw error;
    }
  }

  function standIn(tool: Tool): Pick<Tool, 'check' | 'run' | 'once'> {
    const { once, name } = tool;
    const refuse = (state: 'refused' | 'not-begun', args: unknown, result: string): void =>
      notes.toolRefused({ tool: name, args, state, result, onceKey: undefined, hasActed: false });
    return {
      once: typeof once !== 'function' ? once : (args, context) => {
        try {
          return once(args, context);
        } catch (error) {
          refuse('not-begun', args, messageOf(error));
          throw error;
        }
      },
      check: async (args, budget) => {
        const checked = await tool.check(args, budget);
        if ('problem' in checked) refuse('refused', args, checked.problem);
        return checked;
      },
      run: (args, context) => run(tool, args, context),
    };
  }

  return {
    mock: (mock) => void mocks.set(mock.tool, mock),
    hold: (moment) => void (held = { ...moment, end: new AbortController() }),
    release() {
      held?.end.abort();
      held = undefined;
    },
    replace<T extends KnownTool>(tool: T): T {
      if (!isTool(tool)) return tool;
      const replaced = made.get(tool) ?? { ...tool, ...standIn(tool) };
      made.set(tool, replaced);
      return replaced as T;
    },
  };
}

/** The result as the model gets it, before a long one is cut. */
function asJson(result: unknown): unknown {
  try {
    return JSON.parse(resultText(result));
  } catch (error) {
    return { error: messageOf(error) };
  }
}

export function isTool(tool: KnownTool): tool is Tool & KnownTool {
  return 'run' in tool && 'check' in tool;
}

async function runMock({ afterMs, outcome }: Mock, signal: AbortSignal): Promise<unknown> {
  if (outcome.kind === 'hangs') await aborted(signal);
  signal.throwIfAborted(); // as a request would
  if (afterMs > 0)
    await setTimeout(afterMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  switch (outcome.kind) {
    case 'returns':
      return structuredClone(outcome.value);
    case 'fails':
      throw new Error(outcome.message);
    case 'not-done':
      throw new NotDone(outcome.message);
    case 'hands-over':
      return handOver(outcome.agent);
    case 'hangs':
      throw signal.reason;
    default:
      return outcome satisfies never;
  }
}
