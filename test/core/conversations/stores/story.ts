// What happens to processes that share a store, told step by step.

import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';

import { setState } from '../../../../src/core/conversations/agent-state.ts';
import {
  clearTurns, findTurn, keepCaller, type Conversation,
} from '../../../../src/core/conversations/conversation.ts';
import { spend, spentIn } from '../../../../src/core/conversations/spending.ts';
import {
  noteProgress, noteToolResult,
} from '../../../../src/core/conversations/tool-call-rules.ts';
import { messagesOf, toolMessagesOf } from '../../../../src/core/conversations/turn-record.ts';
import { settleTurn } from '../../../../src/core/conversations/turn-settlement.ts';
import { jumpingClock } from '../../../fixtures/clock.ts';
import { freeKey, onceCall, onceKey } from '../once-calls.ts';
import { BOUNDS, reply, round } from '../talk.ts';
import { outages, restore, two, type Machine, type Outages } from './machines.ts';
import type { SharedParts } from './parts-in-memory.ts';

/**
 * A name, steps with `; ` between them, and what a process finds in the end: `a`, `b`, or `c`,
 * which has just started. Then settings for the stores. The steps are those of `Story`.
 */
type Told = readonly [name: string, steps: string, finds: string, settings?: object];

/** One test for each story. */
export function tell(stories: readonly Told[], all: object = {}): void {
  for (const [name, steps, finds, settings = all] of stories)
    it(name, async (t) => {
      const story = new Story(t, settings);
      for (const step of steps.split('; ')) await story.take(step);
      const [who = ''] = finds.split(' finds ');
      assert.equal(`${who} finds ${await story.foundBy(who)}`, finds);
    });
}

/** What a machine does, and with what. A second passes with each step. */
type Act = (machine: Machine, what: string) => unknown;

class Story {
  readonly #machines: Readonly<Record<string, Machine>>;
  readonly #shared: SharedParts;
  readonly #outages: Outages;
  readonly #jump: (ms: number) => void;
  #copy: SharedParts = new Map();
  #nowMs = 1_764_000_000_000;
  /** The runs that are open, by turn. */
  readonly #runs = new Map<string, number>();

  constructor(t: TestContext, settings: object) {
    t.mock.method(Date, 'now', () => this.#nowMs);
    this.#jump = jumpingClock(t);
    this.#outages = outages(t);
    const [a, b, shared] = two(t, settings);
    this.#machines = { a, b };
    this.#shared = shared;
  }

  readonly #acts: Readonly<Record<string, Act>> = {
    /** `a says t1 t2`: turns, opened and settled. `d/t1` is one of another conversation. */
    says: async (machine, turns) => {
      for (const turn of turns.split(' ')) {
        const [turnId = '', id = 'c'] = turn.split('/').toReversed();
        await machine.turns(turnId, id);
      }
    },
    opens: (machine, turnId) => {
      this.#runs.set(turnId, 1_000 + this.#runs.size);
      const process = Object.keys(this.#machines).find((name) => this.#machines[name] === machine);
      return machine.open(turnId, this.#runs.get(turnId) ?? 0, { process, isAlive: () => true });
    },
    /** Ends the turn with what it has called, and its reply. */
    ends: (machine, turnId) => machine.update((of) => {
      const end = { turnId, runId: this.#runs.get(turnId) ?? 0, state: 'completed' } as const;
      const called = findTurn(of, turnId)?.messages?.filter(({ role }) => role !== 'user') ?? [];
      const messages = [...called, reply(turnId, `reply to ${turnId}`)];
      return settleTurn(of, { ...end, messages }, BOUNDS);
    }),
    /** Calls tools in turn t1; the ids are those of the calls. */
    calls: (machine, ids) => {
      const call = { runId: this.#runs.get('t1') ?? 0, state: 'running' } as const;
      const messages = ids.split(' ').flatMap((id) => round('t1', id, { ...call, key: id }));
      const progress = { turnId: 't1', runId: call.runId, messages };
      return machine.update((of) => noteProgress(of, progress, BOUNDS));
    },
    'gets the result of': (machine, toolCallId) => {
      const call = { turnId: 't1', runId: this.#runs.get('t1') ?? 0, toolCallId };
      const result = { ...call, state: 'completed', content: '1' } as const;
      return machine.update((of) => noteToolResult(of, result, BOUNDS));
    },
    reads: (machine) => machine.read(),
    /** A change that changes nothing. */
    looks: (machine) => machine.update(() => undefined),
    erases: (machine) => machine.update(clearTurns),
    /** Adds to a list in the state. */
    orders: (machine, dish) => machine.update((of) => {
      const { n = [] } = JSON.parse(of.state ?? '{}') as { readonly n?: readonly string[] };
      setState(of, JSON.stringify({ n: [...n, dish] }));
    }),
    counts: (machine, n) => machine.update((of) => setState(of, `{"n":${n}}`)),
    'hands over to': (machine, agent) => machine.set({ agent }),
    'hands over to nobody': (machine) => machine.update((of) => void delete of.agent),
    'is called by': (machine, from) =>
      machine.update((of) => keepCaller(of, { sessionId: 's', from, to: '+2' })),
    /** Claims a once call, by its id. */
    claims: (machine, toolCallId) => this.#put(machine, { toolCallId }),
    pays: (machine, toolCallId) => this.#put(machine, { toolCallId, state: 'completed' }),
    'gives up': (machine, toolCallId) => this.#put(machine, { toolCallId, state: 'unknown' }),
    frees: (machine) => machine.update((of) => freeKey(of, onceKey(1))),
    spends: (machine, tokens) => {
      const process = machine === this.#machines['a'] ? 'a' : 'b';
      const used = { sessionId: 's', process, tokens: Number(tokens), cost: 0 };
      return machine.update((of) => spend(of, used));
    },
    /** None of its commands reach the store. */
    'is away': (machine) => this.#outages.begin(machine),
    /** None of its commands are answered, though they are carried out. */
    'is not answered': (machine) => this.#outages.begin(machine, { failsAfterWriting: true }),
    /** Everything that waited is written. */
    'is back': (machine) => this.#outages.end(machine),
  };

  readonly #events: Readonly<Record<string, () => unknown>> = {
    'the store is copied': () => (this.#copy = new Map(this.#shared)),
    'the store fails over': () => restore(this.#shared, this.#copy),
    'the store loses all': () => this.#shared.clear(),
    'the store loses c': () => this.#shared.delete('c'),
    'the clock goes back': () => (this.#nowMs -= 60_000),
  };

  #put(machine: Machine, call: Partial<ReturnType<typeof onceCall>>): Promise<void> {
    const claimed = onceCall({ claimedAt: this.#nowMs, ...call });
    return machine.set({ onceCalls: { [onceKey(1)]: claimed } });
  }

  /** Lets time pass for the processes and the store. */
  #pass(ms: number): void {
    this.#nowMs += ms;
    this.#jump(ms);
    for (const { parts } of Object.values(this.#machines)) parts.nowMs += ms;
  }

  async take(step: string): Promise<void> {
    this.#nowMs += 1_000;
    const event = this.#events[step];
    if (event !== undefined) return void event();
    if (step.endsWith(' minutes pass')) return this.#pass(60_000 * Number.parseInt(step, 10));
    const machine = this.#machines[step.charAt(0)] ?? assert.fail(step);
    const names = Object.keys(this.#acts).toSorted((x, y) => y.length - x.length);
    const name = names.find((act) => step.slice(2).startsWith(act)) ?? assert.fail(step);
    await this.#acts[name]?.(machine, step.slice(3 + name.length));
  }

  /** The turns and whatever else there is, such as `t1 t2, n 1, billing, +1, running call-1`. */
  async foundBy(who: string): Promise<string> {
    const machine = who === 'c' ? this.#machines['a']?.fresh() : this.#machines[who];
    const conversation = await machine?.read();
    return conversation === undefined ? 'nothing' : shown(conversation);
  }
}

function shown(conversation: Conversation): string {
  const { turns, state, agent, caller, onceCalls = {} } = conversation;
  const ids = turns.map((turn) => {
    const texts = messagesOf(turn).flatMap(({ role, content }) =>
      role === 'tool' || content === '' ? [] : [content]);
    const isWhole = texts.join() === `words of ${turn.id},reply to ${turn.id}`;
    const tools = toolMessagesOf(turn).map((call) => `${call.toolCallId} ${call.state}`);
    const ails = turn.state === 'open' ? ['open'] : isWhole ? [] : ['broken'];
    const notes = [...tools, ...ails].join(', ');
    return `${turn.id}${notes && ` (${notes})`}`;
  });
  const calls = Object.values(onceCalls).map((call) =>
    `${call.state} ${call.toolCallId}${call.content === 'null' ? ' (erased)' : ''}`);
  const { tokens } = spentIn(conversation, 's');
  const count = state?.replace(/\{"n":(.*)\}/, 'n $1');
  const used = tokens === 0 ? undefined : `${tokens} tokens`;
  return [ids.join(' '), count, agent, caller?.from, ...calls, used].filter(Boolean).join(', ');
}
