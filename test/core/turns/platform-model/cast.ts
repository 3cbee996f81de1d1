// The agent of a talk with a platform, and its tools. They do what the requests' plans say, and
// wait until the talk lets them go on.

import type { Agent, MessageTurn, Reply } from '../../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../../src/core/agents/define-agent.ts';
import type { ModelDelta } from '../../../../src/core/models/model.ts';
import { defineState, type State } from '../../../../src/core/state/state.ts';
import { hangUp } from '../../../../src/core/tools/tool-hang-up.ts';
import { tool, type Tool, type ToolContext } from '../../../../src/core/tools/tool.ts';
import { endAct, Gates, heldBy, modelOf, type ToolFate } from '../talks.ts';
import { FILLER } from './call.ts';
import type { Act, Run } from './ledger.ts';
import type { ToolName } from './talk.ts';

/** What the agent needs from the talk. */
export interface PlatformDirector {
  begin(turn: MessageTurn, reply: Reply, answered: readonly number[]): Run;
  act(act: Pick<Act, 'tool' | 'args' | 'key'>, turnId: string): Act;
  ended(act: Act): void;
  note(line: string): void;
}

/** An agent at work. */
interface Work {
  readonly run: Run;
  /** How many steps of its plan are done. */
  place: number;
  /** The calls that it has made. It makes none of them twice. */
  readonly made: Set<string>;
}

/** Calls with the same place, tool and number are the same call. */
function placeOf({ attempt: { kind, utterance, n } }: Run): number {
  return kind === 'silence' ? 1_000 + n : utterance.n;
}

interface Answered {
  /** The numbers of the requests that the agent was asked to answer. */
  readonly answered: number[];
}

const PARAMETERS = {
  type: 'object', properties: { place: { type: 'number' }, n: { type: 'number' } }, required: ['n'],
} as const;

export class PlatformCast {
  readonly gates = new Gates();
  readonly agent: Agent;
  readonly #director: PlatformDirector;
  readonly #fates: readonly ToolFate[];
  readonly #works = new WeakMap<AbortSignal, Work>();
  readonly #state: State<Answered> = defineState(() => ({ answered: [] }));

  constructor(director: PlatformDirector, fates: readonly ToolFate[]) {
    this.#director = director;
    this.#fates = fates;
    this.agent = this.#makeAgent();
  }

  #makeAgent(): Agent {
    const model = modelOf('platform', (_messages, { signal }) => this.#speak(signal));
    const agent = defineAgent({
      name: 'desk',
      prompt: 'You talk.',
      speakable: false,
      filler: FILLER,
      state: this.#state,
      model,
      tools: [
        this.#tool('act', {}), this.#tool('keep', { whenInterrupted: 'finish' }),
        this.#tool('look', { repeatable: true }), this.#tool('pay', { once: true }), hangUp,
      ],
    });
    return heldBy(agent, (onMessage) => (turn, reply) => {
      const { answered } = turn.state as Answered;
      const run = this.#director.begin(turn, reply, [...answered]);
      answered.push(run.attempt.n);
      this.#works.set(turn.signal, { run, place: 0, made: new Set() });
      return onMessage(turn, reply);
    });
  }

  async *#speak(signal: AbortSignal): AsyncGenerator<ModelDelta, void, undefined> {
    const work = this.#works.get(signal);
    if (work === undefined) throw new Error('a model was asked for no turn');
    const { run } = work;
    const { ops } = run.attempt;
    const where = placeOf(run);
    while (work.place < ops.length) {
      const op = ops[work.place++];
      if (op?.do === 'say') {
        const text = `Run ${run.n} piece ${run.pieces.length} has alpha bravo charlie. `;
        run.pieces.push(text);
        this.#director.note(`  run ${run.n} says piece ${run.pieces.length - 1}`);
        yield { type: 'text', text };
      } else if (op?.do === 'wait') {
        await this.gates.wait(`run ${run.n} goes on`, signal);
      } else if (op?.do === 'fail') {
        run.hasFailed = !run.isOver();
        this.#director.note(`  run ${run.n} fails`);
        throw new Error('the model fails');
      } else if (op?.do === 'hang up') {
        this.#director.note(`  run ${run.n} hangs up`);
        const goodbye = `Goodbye of run ${run.n}.`;
        run.pieces.push(goodbye);
        const args = JSON.stringify({ goodbye });
        yield { type: 'toolCall', call: { id: 'call_0', name: hangUp.name, args } };
        return;
      } else if (op?.do === 'call') {
        const calls = op.calls.filter(({ tool, n }) => {
          const name = `${tool} ${n}`;
          const isNew = !work.made.has(name);
          work.made.add(name);
          return isNew;
        });
        if (calls.length === 0) continue;
        for (const [index, { tool: called, n }] of calls.entries()) {
          // A tool that acts once does so per call. Other tool calls are the same only within their
          // place.
          const args = JSON.stringify(called === 'pay' ? { n } : { place: where, n });
          this.#director.note(`  run ${run.n} calls ${called} ${args}`);
          yield { type: 'toolCall', call: { id: `call_${index}`, name: called, args } };
        }
        return;
      }
    }
  }

  #tool(name: ToolName, more: Partial<Tool>): Tool<Answered> {
    return tool({
      name,
      description: 'Acts.',
      parameters: PARAMETERS,
      ...more,
      run: (args: unknown, context: ToolContext) =>
        this.#act(name, JSON.stringify(args), context),
    } as Parameters<typeof tool>[0]) as unknown as Tool<Answered>;
  }

  async #act(
    name: ToolName, args: string, { idempotencyKey: key, turnId, signal }: ToolContext,
  ): Promise<unknown> {
    const act = this.#director.act({ tool: name, args, key }, turnId);
    // `keep` and `pay` do not look at their signal, so they may return late.
    const obeyed = name === 'act' || name === 'look' ? signal : undefined;
    return endAct(
      act,
      `${name} ${args}`,
      this.#fates[act.n % this.#fates.length] as ToolFate,
      (what) => this.gates.wait(what, obeyed),
      (line) => this.#director.note(line),
    ).finally(() => this.#director.ended(act));
  }
}
