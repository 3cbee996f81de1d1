// The agent of a talk with a platform, and its tools. They do what the requests' plans say, and
// wait until the talk lets them go on.

import { FILLER } from './call.ts';
import type { Act, Run } from './ledger.ts';
import {
  defineAgent,
  defineState,
  hangUp,
  NotDone,
  tool,
  type Agent,
  type ChatModel,
  type MessageTurn,
  type ModelDelta,
  type Reply,
  type State,
  type Tool,
  type ToolContext,
} from './stage.ts';
import type { ToolFate, ToolName } from './talk.ts';

/** A place where a model or a tool waits until the talk lets it go on. */
export interface Gate {
  readonly what: string;
  readonly open: () => void;
}

/** What the agent needs of the talk. */
export interface PlatformDirector {
  begin(turn: MessageTurn, reply: Reply, answered: readonly number[]): Run;
  act(act: Pick<Act, 'tool' | 'args' | 'key'>, turnId: string): Act;
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
  /** The numbers of the requests that the agent was asked for. */
  readonly answered: number[];
}

const PARAMETERS = {
  type: 'object',
  properties: { place: { type: 'number' }, n: { type: 'number' } },
  required: ['n'],
} as const;

export class PlatformCast {
  /** Those that wait. */
  gates: Gate[] = [];
  readonly agent: Agent;
  readonly #director: PlatformDirector;
  readonly #fates: readonly ToolFate[];
  readonly #works = new WeakMap<AbortSignal, Work>();
  readonly #state: State<Answered> = defineState(() => ({ answered: [] }));
  #isOver = false;

  constructor(director: PlatformDirector, fates: readonly ToolFate[]) {
    this.#director = director;
    this.#fates = fates;
    this.agent = this.#makeAgent();
  }

  /** Lets all that wait go on. From now on nothing waits. */
  end(): void {
    this.#isOver = true;
    for (const gate of this.gates.splice(0)) gate.open();
  }

  #makeAgent(): Agent {
    const model: ChatModel = {
      name: 'scripted:platform',
      stream: (_messages, { signal }) => this.#speak(signal),
      warm: () => Promise.resolve(),
      problems: () => [],
      isUsable: () => true,
    };
    const agent = defineAgent({
      name: 'desk',
      prompt: 'You talk.',
      speakable: false,
      filler: FILLER,
      state: this.#state,
      model,
      tools: [
        this.#tool('act', {}),
        this.#tool('keep', { whenInterrupted: 'finish' }),
        this.#tool('look', { repeatable: true }),
        this.#tool('pay', { once: true }),
        hangUp,
      ],
    });
    return {
      ...agent,
      bind: (resources) => {
        if (agent.bind === undefined) throw new Error('an agent with a prompt is bound to a model');
        const bound = agent.bind(resources);
        return {
          ...bound,
          onMessage: (turn, reply) => {
            const { answered } = turn.state as Answered;
            const run = this.#director.begin(turn, reply, [...answered]);
            answered.push(run.attempt.n);
            this.#works.set(turn.signal, { run, place: 0, made: new Set() });
            return bound.onMessage(turn, reply);
          },
        };
      },
    };
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
        await this.#gate(`run ${run.n} goes on`, signal);
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
          // What acts once does so in the whole call. Other calls are the same in their place only.
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
    const fate = this.#fates[act.n % this.#fates.length];
    try {
      // `keep` and `pay` do not look at their signal, so they may return late.
      const obeyed = name === 'act' || name === 'look' ? signal : undefined;
      if (fate?.waits === true) await this.#gate(`act ${act.n} goes on`, obeyed);
    } catch (error) {
      act.end('interrupted');
      this.#director.note(`  act ${act.n} is interrupted`);
      throw error;
    }
    const ends = fate?.ends ?? 'returns';
    this.#director.note(`  act ${act.n} ${ends}`);
    if (ends === 'returns') {
      act.end('returned');
      return { done: `${name} ${args}`, act: act.n };
    }
    act.end(ends === 'throws' ? 'threw' : 'did nothing');
    const message = `act ${act.n} ${ends}`;
    throw ends === 'throws' ? new Error(message) : new NotDone(message);
  }

  /** Waits until the talk opens the gate. Rejects if the signal fires. */
  #gate(what: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const gate: Gate = { what, open: resolve };
      if (this.#isOver) return resolve();
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
