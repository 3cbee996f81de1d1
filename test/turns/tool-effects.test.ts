// A tool acts once: seeded interleavings of drops, redeliveries, newer turns, slow tools, failing agents and crashes, against a tool
// that counts what it did. Nothing here needs a socket: a delivery is an object, and the world stands still between two steps.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent, ToolCallContext } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { emptyConversation } from '../../src/conversations/conversation.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { Message, ToolCall } from '../../src/conversations/message.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { createLogger } from '../../src/log.ts';
import type { Delivery } from '../../src/turns/delivery.ts';
import { Turns } from '../../src/turns/turns.ts';
import { PromisedStore } from '../conversations/promised-store.ts';

const SEEDS = Number(process.env['SEEDS'] ?? 3_000);
const STEPS = 14;
const CONVERSATION = 'c-1';

function randomFrom(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761) % 2_147_483_647 || 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** A tool at work. */
interface Work {
  readonly key: string;
  readonly callId: string;
  /** Ends it: it acts and returns, or fails without having acted. */
  readonly finish: (isFailing: boolean) => void;
  isOver: boolean;
}

/** What one process has: turns, and tools at work. It dies as a whole. */
interface Process {
  readonly turns: Turns;
  readonly store: ConversationStore;
  readonly works: Work[];
  isDead: boolean;
}

class World {
  /** What the tool did, by the key it was given. */
  readonly effects = new Map<string, number>();
  /** What each call was answered, by its key. */
  readonly returned = new Map<string, string>();
  /** Calls that ended because of their signal. */
  readonly aborted = new Set<string>();
  readonly random: (below: number) => number;
  readonly #isPromised: boolean;
  process: Process;
  #running: { readonly delivery: Delivery; isOpen: boolean; readonly turnId: string; readonly words: string }[] = [];
  #delivered: { readonly turnId: string; readonly words: string }[] = [];
  #gates: (() => void)[] = [];

  constructor(seed: number) {
    this.random = randomFrom(seed);
    this.#isPromised = seed % 2 === 0;
    this.process = this.#open(undefined);
  }

  #open(kept: string | undefined): Process {
    const memory = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
    if (kept !== undefined) memory.update(CONVERSATION, (draft) => void Object.assign(draft, JSON.parse(kept)));
    const store = this.#isPromised ? new PromisedStore(memory) : memory;
    const works: Work[] = [];
    const process: Process = {
      store,
      works,
      isDead: false,
      turns: new Turns({ agent: this.#agent(works, () => process.isDead), conversations: new ConversationManager(store), turnTimeoutMs: 2 ** 30, firstWordTimeoutMs: 2 ** 30 }),
    };
    return process;
  }

  /** Calls tools as its words say: `ab|a` is a round of two calls and one of one. `!` fails, `.` waits. */
  #agent(works: Work[], isDead: () => boolean): Agent {
    return defineAgent({
      name: 'tested',
      onMessage: async ({ text, journal, signal }, reply) => {
        await reply.say(`on ${text}. `);
        for (const round of text.split(' ')[1]?.split('|') ?? []) {
          if (signal.aborted || isDead()) return;
          if (round === '!') throw new Error('the model failed');
          if (round === '.') await new Promise<void>((resolve) => this.#gates.push(resolve));
          else {
            const calls = [...round].map((name, index): ToolCall => ({ id: `call_${index}`, name, args: `{"for":"${name}"}` }));
            await journal.runTools(calls, ({ name }) => ({
              whenInterrupted: name === 'c' ? 'finish' : 'abort',
              run: (context) => this.#work(context, works, isDead, name !== 'b'),
            }));
            await reply.say('done. ');
          }
        }
      },
    });
  }

  /** `obeys`: whether it ends when its signal fires. It acts at its end, and at no other time. */
  #work({ idempotencyKey: key, toolCallId: callId, signal }: ToolCallContext, works: Work[], isDead: () => boolean, obeys: boolean): Promise<string> {
    return new Promise((resolve, reject) => {
      const work: Work = {
        key, callId, isOver: false,
        finish: (isFailing) => {
          if (work.isOver || isDead()) return;
          work.isOver = true;
          if (isFailing) {
            const content = JSON.stringify({ error: 'no money' });
            this.returned.set(key, content);
            reject(new Error('no money'));
            return;
          }
          this.effects.set(key, (this.effects.get(key) ?? 0) + 1);
          const content = JSON.stringify({ effect: this.effects.size });
          this.returned.set(key, content);
          resolve(content);
        },
      };
      works.push(work);
      signal.addEventListener('abort', () => {
        if (!obeys || work.isOver || isDead()) return;
        work.isOver = true;
        this.aborted.add(key);
        reject(signal.reason);
      }, { once: true });
    });
  }

  step(): void {
    const { works } = this.process;
    const open = this.#running.filter(({ isOpen }) => isOpen);
    const atWork = works.filter(({ isOver }) => !isOver);
    switch (this.random(8)) {
      case 0:
      case 1: {
        const plans = ['a', 'ab', 'aa', 'c', 'ac|b', 'a|a', 'a|.', 'b|!', 'c|.|a', '.'];
        const turnId = `t${this.#delivered.length}`;
        const words = `${turnId} ${plans[this.random(plans.length)] ?? 'a'}`;
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
        return this.process.turns.drop(dropped.delivery);
      }
      case 4:
      case 5:
        return atWork[this.random(atWork.length || 1)]?.finish(this.random(5) === 0);
      case 6:
        return this.#gates.shift()?.();
      default:
        if (this.random(3) === 0) this.crash();
    }
  }

  #deliver(turnId: string, words: string): void {
    const delivery: Delivery = {
      event: { type: 'message', session_id: 's', conversation_id: CONVERSATION, turn_id: turnId, text: words },
      conversationId: CONVERSATION, turnId, headers: {}, log: createLogger({ level: 'silent', write: () => undefined }),
      unsent: 0, isOpen: true,
      send: () => true,
      end: () => true,
      onOutcome: () => {
        entry.isOpen = false;
      },
    };
    const entry = { delivery, isOpen: true, turnId, words };
    this.#running.push(entry);
    this.process.turns.start(delivery);
  }

  /** Between any two steps: what the store has is all that is left. */
  crash(): void {
    const kept = this.#kept;
    this.process.isDead = true;
    this.process.turns.interruptAll('the process died'); // its timers; what it still writes goes where nobody reads
    this.#running = [];
    this.#gates = [];
    this.process = this.#open(kept);
  }

  /** As it lies in the store now, whatever is on its way there. */
  get #kept(): string {
    return JSON.stringify(this.process.store instanceof PromisedStore ? this.process.store.now(CONVERSATION) : this.process.store.read(CONVERSATION)) ?? JSON.stringify(emptyConversation(CONVERSATION));
  }

  /** Lets everything come to an end. */
  async finish(): Promise<readonly Message[]> {
    for (let round = 0; round < 50; round++) {
      for (const gate of this.#gates.splice(0)) gate();
      for (const { finish } of this.process.works) finish(false);
      await rounds();
    }
    this.#deliver('last', 'last'); // whoever comes next says what became of a dead process's calls
    await rounds();
    this.process.turns.interruptAll('the talk is over');
    await this.process.turns.settled();
    return new ConversationManager(this.process.store).getHistory(CONVERSATION);
  }
}

async function rounds(): Promise<void> {
  for (let round = 0; round < 4; round++) await new Promise((resolve) => setImmediate(resolve));
}

/** What is wrong, in words. */
function* wrongsOf(world: World, history: readonly Message[]): Generator<string> {
  for (const [key, count] of world.effects) if (count > 1) yield `the tool acted ${count} times for ${key.slice(0, 8)}`;
  const results = history.filter((message) => message.role === 'tool');
  const calls = history.flatMap((message) => (message.role === 'assistant' ? (message.toolCalls ?? []).map(({ id }) => `${message.turnId}/${id}`) : []));
  const answered = results.map(({ turnId, toolCallId }) => `${turnId}/${toolCallId}`);
  if (new Set(calls).size < calls.length) yield `calls of one id: ${calls.join(' ')}`;
  if (calls.join(' ') !== answered.join(' ')) yield `the calls are ${calls.join(' ')}, the results ${answered.join(' ')}`;
  for (const { key = '', content, state, turnId, toolCallId } of results) {
    const truth = world.returned.get(key);
    const what = `${turnId}/${toolCallId} (${key.slice(0, 8)})`;
    if (state === 'running') yield `${what} is said to run, and nothing runs`;
    if (state === 'completed' && content !== truth) yield `${what} has ${content}; the tool returned ${truth ?? 'nothing'}`;
    if (state === 'interrupted' && world.effects.has(key) && !world.aborted.has(key)) yield `${what} is said to be interrupted, and acted`;
  }
}

describe('a tool', () => {
  it(`acts once per key, and history tells the truth of it, in ${SEEDS} talks`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = new World(seed);
      for (let count = 0; count < STEPS; count++) {
        world.step();
        if (world.random(3) > 0) await new Promise((resolve) => setImmediate(resolve));
      }
      const wrongs = [...wrongsOf(world, await world.finish())];
      assert.deepEqual(wrongs, [], `seed ${seed}`);
    }
  });
});
