// The two agents of a fleet, `desk` and `billing`, and their tools. They do what the turns' plans
// say, and wait until the talk lets them go on. Their models repeat the ids of calls in each reply.

import type { Act, FleetRun } from './ledger.ts';
import {
  defineAgent,
  handOver,
  NotDone,
  tool,
  type Agent,
  type ChatMessage,
  type ChatModel,
  type MessageTurn,
  type ModelDelta,
  type NamedAgents,
  type Reply,
  type Tool,
  type ToolContext,
} from './stage.ts';
import type { ToolFate, ToolName } from './talk.ts';

/** A place where a model or a tool waits until the talk lets it go on. */
export interface Gate {
  readonly what: string;
  readonly open: () => void;
}

/** What agents need of the talk. */
export interface FleetDirector {
  /** A run begins. */
  begin(turn: MessageTurn, reply: Reply): FleetRun;
  /** A model is asked. */
  ask(run: FleetRun, messages: readonly ChatMessage[]): void;
  /** A tool begins to act. */
  act(act: Pick<Act, 'tool' | 'args' | 'agent' | 'key' | 'turnId'>, delivery: number): Act;
  note(line: string): void;
}

const NUMBER = {
  type: 'object', properties: { n: { type: 'number' } }, required: ['n'],
} as const;

export class FleetCast {
  /** Those that wait. */
  gates: Gate[] = [];
  readonly agents: NamedAgents;
  readonly #director: FleetDirector;
  readonly #fates: readonly ToolFate[];
  readonly #works = new WeakMap<AbortSignal, { readonly run: FleetRun; place: number }>();
  #isOver = false;

  constructor(director: FleetDirector, fates: readonly ToolFate[]) {
    this.#director = director;
    this.#fates = fates;
    const shared = [
      this.#tool('pay', undefined, { once: true }),
      this.#tool('order', undefined, { once: (args) => `order ${JSON.stringify(args)}` }),
    ];
    this.agents = { desk: this.#agent('desk', shared), billing: this.#agent('billing', shared) };
  }

  /** Lets all that wait go on. From now on nothing waits. */
  end(): void {
    this.#isOver = true;
    for (const gate of this.gates.splice(0)) gate.open();
  }

  #agent(name: string, shared: readonly Tool[]): Agent {
    const model: ChatModel = {
      name: `scripted:${name}`,
      stream: (messages, { signal }) => this.#speak(name, messages, signal),
      warm: () => Promise.resolve(),
      problems: () => [],
      isUsable: () => true,
    };
    const transfer = tool({
      name: 'transfer',
      description: 'Hands the call over.',
      parameters: { type: 'object', properties: { to: { type: 'string' } }, required: ['to'] },
      run: ({ to }) => handOver(to),
    });
    const own = [
      this.#tool('act', name, {}),
      this.#tool('keep', name, { whenInterrupted: 'finish' }),
    ];
    const tools = [...own, ...shared, transfer];
    const agent = defineAgent({ name, prompt: 'You talk.', speakable: false, model, tools });
    return {
      ...agent,
      bind: (resources) => {
        if (agent.bind === undefined) throw new Error('an agent with a prompt is bound to a model');
        const bound = agent.bind(resources);
        return {
          ...bound,
          onMessage: (turn, reply) => {
            // After a hand-over the run goes on.
            if (!this.#works.has(turn.signal))
              this.#works.set(turn.signal, { run: this.#director.begin(turn, reply), place: 0 });
            return bound.onMessage(turn, reply);
          },
        };
      },
    };
  }

  async *#speak(
    name: string,
    messages: readonly ChatMessage[],
    signal: AbortSignal,
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
        await this.#gate(run.process.isDead, `run ${run.n} goes on`, signal);
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
          // Ordinary calls are the same only within their turn.
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

  #tool(name: ToolName, agent: string | undefined, more: Partial<Tool>): Tool {
    const definition = { name, description: 'Acts.', parameters: NUMBER, ...more };
    return tool({
      ...definition,
      run: (args: { readonly n: number }, context: ToolContext) =>
        this.#act(name, agent, JSON.stringify(args), context),
    });
  }

  async #act(
    name: ToolName,
    agent: string | undefined,
    args: string,
    { idempotencyKey: key, turnId, signal, metadata }: ToolContext,
  ): Promise<unknown> {
    const delivery = Number(metadata['delivery']);
    const act = this.#director.act({ tool: name, args, agent, key, turnId }, delivery);
    const fate = this.#fates[act.n % this.#fates.length];
    try {
      // `keep` and `pay` do not look at their signal, so they may return late.
      const obeyed = name === 'act' || name === 'order' ? signal : undefined;
      if (fate?.waits === true)
        await this.#gate(act.process.isDead, `act ${act.n} goes on`, obeyed);
    } catch (error) {
      act.ended = 'interrupted';
      this.#director.note(`  act ${act.n} is interrupted`);
      throw error;
    }
    const ends = fate?.ends ?? 'returns';
    this.#director.note(`  act ${act.n} ${ends}`);
    if (ends === 'returns') {
      act.ended = 'returned';
      const done = { done: `${name} ${args}`, act: act.n };
      act.result = JSON.stringify(done);
      return done;
    }
    act.ended = ends === 'throws' ? 'threw' : 'did nothing';
    const message = `act ${act.n} ${ends}`;
    act.result = JSON.stringify({ error: message });
    throw ends === 'throws' ? new Error(message) : new NotDone(message);
  }

  /** Waits until the talk opens the gate. Rejects if the signal fires. */
  #gate(isDead: boolean, what: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const gate: Gate = { what, open: resolve };
      if (isDead || this.#isOver) return resolve();
      this.gates.push(gate);
      const left = (): void => {
        this.gates = this.gates.filter((other) => other !== gate);
        reject(signal?.reason);
      };
      if (signal?.aborted === true) left();
      signal?.addEventListener('abort', left, { once: true });
    });
  }
}
