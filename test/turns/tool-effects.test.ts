// A tool acts once. Random interleavings of drops, redeliveries, newer turns, slow tools, failing
// agents and crashes, made from seeds, against a tool that counts what it did. Deliveries are plain
// objects, so no socket is needed, and nothing happens between two steps.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent, ToolCallContext, TurnJournal } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { emptyConversation } from '../../src/conversations/conversation.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { Message, ToolCall } from '../../src/conversations/message.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { createLogger } from '../../src/log.ts';
import * as agentWork from '../../src/turns/agent-work.ts';
import type { Delivery } from '../../src/turns/delivery.ts';
import { Turns } from '../../src/turns/turns.ts';
import { PromisedStore } from '../conversations/promised-store.ts';
import { mockTimers, type Clock } from '../fixtures/clock.ts';
import { IS_LONG } from '../fixtures/long.ts';
import { callerMessage } from '../fixtures/turns.ts';

const SEEDS = Number(process.env['SEEDS'] ?? (IS_LONG ? 5_000 : 150));
const STEPS = 14;
const CONVERSATION = 'c-1';
/** Longer than all pauses between the tries of a write. */
const ALL_TRIES_MS = 2_000;
const log = createLogger({ level: 'silent', write: () => undefined });

/**
 * The caller's words say what the agent does. `ab|a` is a round of two calls and then one of one
 * call. `=` in front gives all calls of a round the same id. `a` obeys its signal, `b` ignores it,
 * `c` wants to finish, `r` is repeatable, and `h` is a call that the agent runs itself. `!` fails,
 * `.` waits.
 */
const PLANS = [
  'a',
  'ab',
  'aa',
  '=aa',
  'c',
  'ac|b',
  'a|a',
  'a|.',
  'b|!',
  'c|.|a',
  'cc|b',
  'r',
  'ra|r',
  'h',
  'ha|h',
  '=hh',
  'h|!',
  '.',
];

function randomFrom(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761) % 2_147_483_647 || 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** A tool call that runs. */
interface Work {
  /** Ends the call: it acts and returns, or fails without having acted. */
  readonly finish: (isFailing: boolean) => void;
  isOver: boolean;
}

/** One process: its turns, and the tool calls that run. All of it dies together. */
interface Process {
  readonly turns: Turns;
  readonly store: ConversationStore;
  readonly works: Work[];
  isDead: boolean;
}

class World {
  /** How often the tool acted, by key. */
  readonly effects = new Map<string, number>();
  /** What calls returned, by key. */
  readonly returned = new Map<string, Set<string>>();
  /** Keys of calls that began, and did not end because of their signal. */
  readonly begun = new Set<string>();
  /** Keys of calls that ended because of their signal. */
  readonly aborted = new Set<string>();
  readonly repeatable = new Set<string>();
  /** Results of calls that an agent ran itself. */
  readonly noted = new Set<string>();
  hasStoreFailed = false;
  readonly random: (below: number) => number;
  readonly #isPromised: boolean;
  readonly #clock: Clock;
  process: Process;
  #open: { readonly delivery: Delivery; isOpen: boolean }[] = [];
  #delivered: { readonly turnId: string; readonly words: string }[] = [];
  #gates: (() => void)[] = [];

  constructor(seed: number, clock: Clock) {
    this.#clock = clock;
    this.random = randomFrom(seed);
    this.#isPromised = seed % 2 === 0;
    this.process = this.#begin(undefined);
  }

  #begin(kept: string | undefined): Process {
    const memory = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
    if (kept !== undefined)
      memory.update(CONVERSATION, (draft) => void Object.assign(draft, JSON.parse(kept)));
    const store = this.#isPromised ? new PromisedStore(memory) : memory;
    const works: Work[] = [];
    const process: Process = {
      store,
      works,
      isDead: false,
      turns: new Turns({
        agentWork,
        agent: this.#agent(works, () => process.isDead),
        conversations: new ConversationManager(store),
        turnTimeoutMs: 2 ** 30,
        firstWordTimeoutMs: 2 ** 30,
      }),
    };
    return process;
  }

  #agent(works: Work[], isDead: () => boolean): Agent {
    return defineAgent({
      name: 'tested',
      onMessage: async ({ text, journal, signal, turnId }, reply) => {
        await reply.say(`on ${text}. `);
        for (const round of text.split(' ')[1]?.split('|') ?? []) {
          if (signal.aborted || isDead()) return;
          if (round === '!') throw new Error('the model failed');
          if (round === '.') await new Promise<void>((resolve) => this.#gates.push(resolve));
          else {
            const names = round.replace('=', '');
            const calls = [...names].map((name, index): ToolCall => ({
              id: round === names ? `call_${index}` : 'call',
              name,
              args: `{"for":"${name}"}`,
            }));
            if (round.includes('h')) await this.#runByHand(calls, journal, turnId, works, isDead);
            else {
              await journal.runTools(calls, ({ name }) => ({
                whenInterrupted: name === 'c' ? 'finish' : 'abort',
                repeatable: name === 'r',
                run: (context) => this.#run(context, works, isDead, name),
              }));
            }
            await reply.say('done. ');
          }
        }
      },
    });
  }

  /** The agent runs calls itself. It ignores its signal, and notes results even after the turn. */
  async #runByHand(
    calls: readonly ToolCall[],
    journal: TurnJournal,
    turnId: string,
    works: Work[],
    isDead: () => boolean,
  ): Promise<void> {
    await journal.noteToolCalls(calls);
    await Promise.all(
      calls.map(
        ({ id, name }) =>
          new Promise<void>((resolve) => {
            const work: Work = {
              isOver: false,
              finish: () => {
                if (work.isOver || isDead()) return;
                work.isOver = true;
                const content = JSON.stringify({ byHand: this.noted.size, in: turnId, name });
                this.noted.add(content);
                journal.noteToolResult(id, content);
                journal.noteToolResult('nobody knows it', content);
                resolve();
              },
            };
            works.push(work);
          }),
      ),
    );
  }

  /** The tool. It acts when it ends, and at no other time. */
  #run(
    { idempotencyKey: key, signal }: ToolCallContext,
    works: Work[],
    isDead: () => boolean,
    name: string,
  ): Promise<string> {
    if (name === 'r') this.repeatable.add(key);
    this.begun.add(key);
    return new Promise((resolve, reject) => {
      const answer = (content: string): string => {
        this.returned.set(key, (this.returned.get(key) ?? new Set()).add(content));
        return content;
      };
      const work: Work = {
        isOver: false,
        finish: (isFailing) => {
          if (work.isOver || isDead()) return;
          work.isOver = true;
          if (isFailing) {
            answer(JSON.stringify({ error: 'no money' }));
            reject(new Error('no money'));
            return;
          }
          this.effects.set(key, (this.effects.get(key) ?? 0) + 1);
          resolve(answer(JSON.stringify({ effect: key, count: this.effects.get(key) })));
        },
      };
      works.push(work);
      signal.addEventListener(
        'abort',
        () => {
          if (name === 'b' || work.isOver || isDead()) return;
          work.isOver = true;
          this.aborted.add(key);
          reject(signal.reason);
        },
        { once: true },
      );
    });
  }

  step(): void {
    const { works, store } = this.process;
    const open = this.#open.filter(({ isOpen }) => isOpen);
    const atWork = works.filter(({ isOver }) => !isOver);
    switch (this.random(9)) {
      case 0:
      case 1: {
        const turnId = `t${this.#delivered.length}`;
        const words = `${turnId} ${PLANS[this.random(PLANS.length)] ?? ''}`;
        this.#delivered.push({ turnId, words });
        return this.#deliver(turnId, words);
      }
      case 2: {
        const again = this.#delivered[this.random(this.#delivered.length || 1)];
        return again === undefined ? undefined : this.#deliver(again.turnId, again.words);
      }
      case 3: {
        const dropped = open[this.random(open.length || 1)];
        if (dropped === undefined) return;
        dropped.isOpen = false;
        return dropped.delivery.turn?.dropped();
      }
      case 4:
      case 5:
        return atWork[this.random(atWork.length || 1)]?.finish(this.random(5) === 0);
      case 6:
        return this.#gates.shift()?.();
      case 7:
        return store instanceof PromisedStore ? this.#disturb(store) : undefined;
      default:
        if (this.random(3) === 0) this.crash();
    }
  }

  #disturb(store: PromisedStore): void {
    switch (this.random(6)) {
      case 0:
        store.failWith = new Error('the store does not answer');
        this.hasStoreFailed = true;
        return;
      case 1:
        return this.#clock.tick(ALL_TRIES_MS);
      case 2:
      case 3:
        return store.hold();
      default:
        store.failWith = undefined;
        return store.release();
    }
  }

  #deliver(turnId: string, words: string): void {
    const delivery: Delivery = {
      event: callerMessage(turnId, words, CONVERSATION),
      headers: {},
      turn: undefined,
      log,
      unsent: 0,
      isOpen: true,
      send: () => true,
      end: () => true,
      onOutcome: () => {
        entry.isOpen = false;
      },
    };
    const entry = { delivery, isOpen: true };
    this.#open.push(entry);
    this.process.turns.start(delivery);
  }

  /** Crashes the process. Only what is stored is left. */
  crash(): void {
    const kept = this.#kept;
    const { process } = this;
    process.isDead = true;
    process.turns.interruptAll('the process died'); // what it still writes is not read
    if (process.store instanceof PromisedStore) process.store.release();
    this.#open = [];
    this.#gates = [];
    this.process = this.#begin(kept);
  }

  /** What is stored now, without the writes that are on their way. */
  get #kept(): string {
    const { store } = this.process;
    return JSON.stringify(
      (store instanceof PromisedStore ? store.now(CONVERSATION) : store.read(CONVERSATION)) ??
        emptyConversation(CONVERSATION),
    );
  }

  /** Lets everything come to an end. */
  async finish(): Promise<readonly Message[]> {
    const { store } = this.process;
    if (store instanceof PromisedStore) {
      store.failWith = undefined;
      store.release();
    }
    await this.#settled();
    this.#deliver('last', 'last'); // the next turn decides on the calls of a dead process
    await this.#settled();
    return new ConversationManager(store).getHistory(CONVERSATION);
  }

  async #settled(): Promise<void> {
    const { turns, works } = this.process;
    let isSettled = false;
    do {
      for (const gate of this.#gates.splice(0)) gate();
      for (const { finish } of works) finish(false);
      this.#clock.tick(ALL_TRIES_MS);
      await nextRound();
      if (turns.count === 0) void turns.settled().then(() => (isSettled = true));
    } while (!isSettled);
  }
}

function nextRound(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isDone(message: Message, key: string): boolean {
  return message.role === 'tool' && message.state === 'completed' && message.key === key;
}

/** Everything that is wrong, one sentence each. */
function* wrongsOf(world: World, history: readonly Message[]): Generator<string> {
  for (const [key, count] of world.effects) {
    if (count > 1 && !world.hasStoreFailed && !world.repeatable.has(key))
      yield `the tool acted ${count} times for ${key.slice(0, 8)}`;
  }
  const results = history.filter((message) => message.role === 'tool');
  const calls = history.flatMap((message) =>
    message.role === 'assistant'
      ? (message.toolCalls ?? []).map(({ id }) => `${message.turnId}/${id}`)
      : [],
  );
  const answered = results.map(({ turnId, toolCallId }) => `${turnId}/${toolCallId}`);
  if (new Set(calls).size < calls.length) yield `calls of one id: ${calls.join(' ')}`;
  if (calls.join(' ') !== answered.join(' '))
    yield `the calls are ${calls.join(' ')}, the results ${answered.join(' ')}`;
  for (const { key = '', content, state, turnId, toolCallId } of results) {
    const what = `${turnId}/${toolCallId} (${key.slice(0, 8)})`;
    const isTrue = world.returned.get(key)?.has(content) === true || world.noted.has(content);
    if (state === 'running') yield `${what} is said to run, and nothing runs`;
    if (state === 'completed' && !isTrue) yield `${what} has ${content}, which no tool returned`;
    // If it was interrupted before it began, a later run may have made the call, with its result.
    const hasActed = world.effects.has(key) && !results.some((other) => isDone(other, key));
    const isProtected = !world.hasStoreFailed && !world.aborted.has(key);
    if (state === 'interrupted' && hasActed && isProtected)
      yield `${what} is said to be interrupted, and acted`;
  }
  const kept = new Set(results.map(({ key }) => key));
  for (const key of world.begun) {
    if (!kept.has(key) && !world.aborted.has(key) && !world.hasStoreFailed)
      yield `a call that began has gone: ${key.slice(0, 8)}`;
  }
  if (history.some((message) => message.role === 'assistant' && message.state === 'open'))
    yield 'a placeholder is left';
}

describe('a tool', () => {
  it(`acts once per key, and history agrees, in ${SEEDS} talks`, async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const first = Number(process.env['FIRST_SEED'] ?? 1);
    for (let seed = first; seed < first + SEEDS; seed++) {
      const world = new World(seed, clock);
      for (let count = 0; count < STEPS; count++) {
        world.step();
        if (world.random(3) > 0) await nextRound();
      }
      const wrongs = [...wrongsOf(world, await world.finish())];
      assert.deepEqual(wrongs, [], `seed ${seed}`);
    }
  });
});
