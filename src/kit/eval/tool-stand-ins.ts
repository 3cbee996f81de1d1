import { setTimeout } from 'node:timers/promises';

import type { KnownTool } from '../../agents/agent.ts';
import { aborted } from '../../base/abort.ts';
import { messageOf } from '../../base/thrown-values.ts';
import { handOver } from '../../tools/tool-hand-over.ts';
import { NotDone } from '../../tools/tool-not-done.ts';
import type { Tool, ToolContext } from '../../tools/tool.ts';
import type { Notes } from './notebook.ts';
import type { Mock } from './stand-in-lines.ts';
import type { ToolMoment } from './steps.ts';

export interface StandInOptions {
  /** Tools with effects that run as they are. */
  readonly realTools: ReadonlySet<string>;
  /** Whether all of them do. */
  readonly allowsAll: boolean;
  readonly notes: Notes;
}

/** Whether a call of the tool may change something outside. */
export function hasEffects({ once, repeatable }: Pick<Tool, 'once' | 'repeatable'>): boolean {
  return once !== undefined || repeatable !== true;
}

/**
 * Tools that report when they run. A mock replaces only `run`: arguments are still checked, and
 * once, time limits and interruptions work as ever.
 */
export class ToolStandIns {
  readonly #options: StandInOptions;
  readonly #mocks = new Map<string, Mock>();
  /** One per tool: agents that share a tool must go on sharing it. */
  readonly #made = new WeakMap<object, object>();
  #runs = 0;
  #held: (ToolMoment & { readonly end: AbortController }) | undefined;

  constructor(options: StandInOptions) {
    this.#options = options;
  }

  mock(mock: Mock): void {
    this.#mocks.set(mock.tool, mock);
  }

  hold(moment: ToolMoment): void {
    this.#held = { ...moment, end: new AbortController() };
  }

  release(): void {
    this.#held?.end.abort();
    this.#held = undefined;
  }

  /** For `AgentResources`. */
  readonly replace = <T extends KnownTool>(tool: T): T => {
    if (!isTool(tool)) return tool;
    const made = this.#made.get(tool) ?? { ...tool, ...this.#standIn(tool) };
    this.#made.set(tool, made);
    return made as T;
  };

  #standIn(tool: Tool): Pick<Tool, 'check' | 'run' | 'once'> {
    const { once, name } = tool;
    const refuse = (state: 'refused' | 'not-begun', args: unknown, result: string): void => {
      const run = { tool: name, args, state, result, onceKey: undefined, hasActed: false };
      this.#options.notes.toolRefused(run);
    };
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
      run: (args, context) => this.#run(tool, args, context),
    };
  }

  async #run(tool: Tool, args: unknown, context: ToolContext): Promise<unknown> {
    const { name } = tool;
    const { notes, realTools, allowsAll } = this.#options;
    const mock = this.#mocks.get(name);
    if (mock === undefined && hasEffects(tool) && !allowsAll && !realTools.has(name)) {
      notes.toolBarred(name);
      throw new NotDone('this tool does not run here');
    }
    const id = `${process.pid}.${++this.#runs}` as const;
    const onceKey = tool.once === undefined ? undefined : `${name} ${context.idempotencyKey}`;
    notes.toolBegan(id, name, structuredClone(args), onceKey);
    if (mock?.outcome.kind === 'hangs') this.#tellHeld(tool);
    await this.#hold(tool, context, true);
    try {
      const result = await (mock === undefined
        ? tool.run(args, context)
        : runMock(mock, context.signal));
      await this.#hold(tool, context, false);
      notes.toolOver(id, { state: 'completed', result: asJson(result), hasActed: true });
      return result;
    } catch (error) {
      await this.#hold(tool, context, false);
      const hasActed = !(error instanceof NotDone);
      notes.toolOver(id, { state: 'failed', result: messageOf(error), hasActed });
      throw error;
    }
  }

  /** The tool has been called or has done its work, but nothing more happens before the trouble. */
  async #hold(tool: Tool, { signal }: ToolContext, isBeginning: boolean): Promise<void> {
    const held = this.#held;
    if (held?.tool !== tool.name || held.isBeginning !== isBeginning) return;
    this.#tellHeld(tool);
    await aborted(AbortSignal.any([held.end.signal, signal]));
  }

  #tellHeld({ name, tellBrowser }: Tool): void {
    if (this.#held?.tool !== name) return;
    this.#options.notes.toolHeld(name, tellBrowser !== 'nothing');
  }
}

/** The result as the model gets it. What cannot be written as JSON fails the call elsewhere. */
function asJson(result: unknown): unknown {
  try {
    return result === undefined ? undefined : JSON.parse(JSON.stringify(result));
  } catch {
    return String(result);
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
