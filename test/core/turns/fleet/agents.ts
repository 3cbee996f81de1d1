// The two agents of a fleet, `desk` and `billing`, and their tools. They do what the turns' plans
// say, and wait until the talk lets them go on. Their models use the same call ids in each reply.

import type { Agent, MessageTurn, Reply } from '../../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../../src/core/agents/define-agent.ts';
import type { ChatMessage, ModelDelta } from '../../../../src/core/models/model.ts';
import { defineState } from '../../../../src/core/state/state.ts';
import { handOver } from '../../../../src/core/tools/tool-hand-over.ts';
import { tool, type Tool, type ToolContext } from '../../../../src/core/tools/tool.ts';
import type { NamedAgents } from '../../../../src/server/app/assemble-app.ts';
import { endAct, Gates, heldBy, modelOf, type ToolFate } from '../talks.ts';
import type { Act, FleetRun } from './ledger.ts';
import type { ToolName } from './talk.ts';

/** What agents need from the talk. */
export interface FleetDirector {
  /** A run begins. */
  begin(turn: MessageTurn, reply: Reply): FleetRun;
  /** A model is asked. */
  ask(run: FleetRun, messages: readonly ChatMessage[]): void;
  /** A tool begins to act. */
  act(act: Pick<Act, 'tool' | 'args' | 'agent' | 'key' | 'turnId'>, delivery: number): Act;
  note(line: string): void;
}

/** The acts that have returned, by number. */
export interface Done {
  readonly acts: number[];
}

const DONE = defineState((): Done => ({ acts: [] }));

/** How a tool acts. */
interface Ways {
  readonly once?: true | ((args: unknown) => string);
  readonly whenInterrupted?: 'finish';
}

const NUMBER = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] } as const;

export class FleetCast {
  readonly gates = new Gates();
  readonly agents: NamedAgents;
  readonly #director: FleetDirector;
  readonly #fates: readonly ToolFate[];
  readonly #works = new WeakMap<AbortSignal, { readonly run: FleetRun; place: number }>();

  constructor(director: FleetDirector, fates: readonly ToolFate[]) {
    this.#director = director;
    this.#fates = fates;
    const shared = [
      this.#tool('pay', undefined, { once: true }),
      this.#tool('order', undefined, { once: (args) => `order ${JSON.stringify(args)}` }),
    ];
    this.agents = { desk: this.#agent('desk', shared), billing: this.#agent('billing', shared) };
  }

  #agent(name: string, shared: readonly Tool<Done>[]): Agent {
    const model = modelOf(name, (messages, { signal }) => this.#speak(name, messages, signal));
    const transfer = tool({
      name: 'transfer', description: 'Hands the call over.',
      parameters: { type: 'object', properties: { to: { type: 'string' } }, required: ['to'] },
      run: ({ to }) => handOver(to),
    });
    const own = [
      this.#tool('act', name, {}),
      this.#tool('keep', name, { whenInterrupted: 'finish' }),
    ];
    const tools = [...own, ...shared, transfer];
    const agent = defineAgent({
      name, prompt: 'You talk.', speakable: false, model, tools, state: DONE,
    });
    return heldBy(agent, (onMessage) => (turn, reply) => {
      // After a hand-over the run goes on.
      if (!this.#works.has(turn.signal))
        this.#works.set(turn.signal, { run: this.#director.begin(turn, reply), place: 0 });
      return onMessage(turn, reply);
    });
  }

  async *#speak(
    name: string, messages: readonly ChatMessage[], signal: AbortSignal,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    const work = this.#works.get(signal);
    if (work === undefined) throw new Error('a model was asked for no turn');
    const { run } = work;
    this.#director.ask(run, messages);
    const { ops } = run.turn;
    while (work.place < ops.length) {
      const op = ops[work.place++];
      if (op?.do === 'say') {
        const text = `a${run.n}.${run.pieces.length} `;
        run.pieces.push(text);
        this.#director.note(`  run ${run.n} says ${JSON.stringify(text)} as ${name}`);
        yield { type: 'text', text };
      } else if (op?.do === 'wait') {
        await this.gates.wait(`run ${run.n} goes on`, signal, run.process.isDead);
      } else if (op?.do === 'fail') {
        run.hasFailed = !run.isOver();
        this.#director.note(`  run ${run.n} fails`);
        throw new Error('the model fails');
      } else if (op?.do === 'hand over') {
        const args = JSON.stringify({ to: name === 'desk' ? 'billing' : 'desk' });
        this.#director.note(`  run ${run.n} hands over`);
        yield { type: 'toolCall', call: { id: 'call_0', name: 'transfer', args } };
        return;
      } else if (op?.do === 'call') {
        for (const [index, { tool: called, n }] of op.calls.entries()) {
          // Two ordinary calls can be the same call only within a turn.
          const isOwn = called === 'act' || called === 'keep';
          const args = JSON.stringify({ n: isOwn ? run.turn.number * 10 + n : n });
          this.#director.note(`  run ${run.n} calls ${called} ${args} as ${name}`);
          run.calls.add(`${called} ${args}`);
          yield { type: 'toolCall', call: { id: `call_${index}`, name: called, args } };
        }
        return;
      }
    }
  }

  #tool(name: ToolName, agent: string | undefined, more: Ways): Tool<Done> {
    const definition = { name, description: 'Acts.', parameters: NUMBER, state: DONE, ...more };
    return tool({
      ...definition,
      run: (args: { readonly n: number }, context: ToolContext<Done>) =>
        this.#act(name, agent, JSON.stringify(args), context),
    });
  }

  async #act(
    name: ToolName,
    agent: string | undefined,
    args: string,
    { idempotencyKey: key, turnId, signal, metadata, state }: ToolContext<Done>,
  ): Promise<unknown> {
    const delivery = Number(metadata['delivery']);
    const act = this.#director.act({ tool: name, args, agent, key, turnId }, delivery);
    // `keep` and `pay` do not look at their signal, so they may return late.
    const obeyed = name === 'act' || name === 'order' ? signal : undefined;
    const returned = await endAct(
      act,
      `${name} ${args}`,
      this.#fates[act.n % this.#fates.length] as ToolFate,
      (what) => this.gates.wait(what, obeyed, act.process.isDead),
      (line) => this.#director.note(line),
    );
    state.acts.push(act.n);
    return returned;
  }
}
