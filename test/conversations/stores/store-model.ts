// A model of what several processes may expect of a store that fails, forgets and restarts. It lets
// them talk at random, brings everything up again, and compares what is there with what was done.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import { keepState, type StateWrite } from '../../../src/conversations/agent-state.ts';
import {
  add, clearTurns, findTurn, subtract, type Conversation,
} from '../../../src/conversations/conversation.ts';
import type { Message } from '../../../src/conversations/message.ts';
import type { OnceCall } from '../../../src/conversations/once-call.ts';
import { StoreError } from '../../../src/conversations/stores/store-error.ts';
import { openTurn } from '../../../src/conversations/turn-opening.ts';
import { messagesOf, setMessages, toolMessagesOf } from '../../../src/conversations/turn-record.ts';
import { settleTurn } from '../../../src/conversations/turn-settlement.ts';
import { mockTimers, type Clock } from '../../fixtures/clock.ts';
import { randomOf } from '../../fixtures/random.ts';
import { freeKey, onceCall, onceKey } from '../once-calls.ts';
import { NOTHING_FAILS } from '../state-writes.ts';
import { BOUNDS, reply, round as roundOf } from '../talk.ts';
import { machines, type Machine } from './machines.ts';
import type { SharedParts } from './parts-in-memory.ts';

const IDS = ['c', 'd'];
const KEYS = [onceKey(1), onceKey(2)];
const START_MS = 1_764_000_000_000;

/** What a process has put into a conversation. */
interface Made {
  readonly id: string;
  readonly step: number;
  /** The mark of the erasure that the process knew of. */
  readonly mark: number;
}

interface Claim extends Made {
  readonly key: string;
  readonly runId: number;
  readonly machine: Machine;
  /** The step in which it had its result or freed its key. */
  overAt: number | undefined;
  /** Whether its result was kept. */
  isDone: boolean;
}

interface Erasure {
  readonly id: string;
  readonly step: number;
  readonly mark: number;
}

/** Clocks that the play moves. */
export class PlayClock {
  readonly #timers: Clock;
  #passedMs = 0;

  constructor(t: TestContext) {
    this.#timers = mockTimers(t, ['setTimeout']);
    const started = performance.now();
    t.mock.method(Date, 'now', () => START_MS + this.#passedMs);
    t.mock.method(performance, 'now', () => started + this.#passedMs);
  }

  pass(ms: number): void {
    this.#passedMs += ms;
    this.#timers.tick(ms);
  }
}

export class Play {
  readonly #seed: number;
  readonly #random: () => number;
  readonly #clock: PlayClock;
  readonly #shared: SharedParts = new Map();
  readonly #machines: readonly Machine[];
  #replica: SharedParts = new Map();
  #step = 0;
  #runs = 0;
  #changes = 0;
  /** Conversations of which the store has lost something. */
  readonly #hasLost = new Set<string>();
  readonly #turns = new Map<string, Made>();
  readonly #states: Made[] = [];
  readonly #claims: Claim[] = [];
  readonly #erasures: Erasure[] = [];
  readonly #open: { machine: Machine; id: string; turnId: string; runId: number }[] = [];
  readonly #log: string[] = [];

  constructor(t: TestContext, seed: number, clock: PlayClock) {
    this.#seed = seed;
    this.#random = randomOf(seed);
    this.#clock = clock;
    this.#machines = machines(t, 2 + (seed % 2), {}, this.#shared);
  }

  async play(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      this.#step += 1;
      const both = this.#random() < 0.2 ? [this.#act(), this.#act()] : [this.#act()];
      await Promise.all(both);
      this.#clock.pass(1 + Math.floor(this.#random() * 300));
      for (let turns = this.#random() * 6; turns > 0; turns--) await soon();
    }
    await this.#recover();
    try {
      for (const id of IDS) await this.#check(id);
    } catch (error) {
      const fault = error instanceof Error ? error.message : String(error);
      throw new Error(`play ${this.#seed}: ${fault}\n${this.#log.join('\n')}`, { cause: error });
    } finally {
      for (const { store } of this.#machines) await store.close();
    }
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] ?? assert.fail('nothing to pick from');
  }

  #note(machine: Machine | undefined, what: string): void {
    const who = machine === undefined ? '-' : String(this.#machines.indexOf(machine));
    this.#log.push(`${this.#step} ${who} ${what}`);
  }

  async #act(): Promise<void> {
    const machine = this.#pick(this.#machines);
    const id = this.#pick(IDS);
    const acts = [
      [20, () => this.#begin(machine, id)],
      [20, () => this.#end()],
      [10, () => this.#callTool(machine)],
      [6, () => this.#runAgain(machine, id)],
      [6, () => this.#addToState(machine, id)],
      [8, () => this.#claim(machine, id)],
      [8, () => this.#finishClaim()],
      [8, async () => void (await machine.store.read(id))],
      [4, () => this.#erase(machine, id)],
      [10, async () => this.#fail(machine)],
      [8, async () => this.#lose(id)],
    ] as const;
    let at = this.#random() * acts.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, act] of acts) {
      at -= weight;
      if (at < 0) return act();
    }
  }

  async #begin(machine: Machine, id: string): Promise<void> {
    this.#runs += 1;
    const runId = this.#runs;
    const turnId = `t${runId}`;
    const step = this.#step;
    const mark = await machine.store.update(id, (conversation) => {
      openTurn(conversation, { turnId, runId, text: `words ${runId}` }, BOUNDS);
      return conversation.erasedAt ?? 0;
    });
    this.#turns.set(turnId, { id, step, mark });
    this.#open.push({ machine, id, turnId, runId });
    this.#note(machine, `${id}: begin ${turnId}, knows ${mark}`);
  }

  async #end(): Promise<void> {
    const index = Math.floor(this.#random() * this.#open.length);
    const [run] = this.#open.splice(index, 1);
    if (run === undefined) return;
    const { machine, id, turnId, runId } = run;
    this.#note(machine, `${id}: end ${turnId}`);
    await machine.store.update(id, (conversation) =>
      settleTurn(conversation, {
        turnId, runId, state: 'completed',
        messages: [
          ...(findTurn(conversation, turnId)?.messages ?? []).filter(
            (message) => message.role !== 'user' && isOfRun(message, runId)),
          reply(turnId, `reply ${runId}`),
        ],
      }, BOUNDS));
  }

  /** A call of an open run, or its result. */
  async #callTool(machine: Machine): Promise<void> {
    const own = this.#open.filter((run) => run.machine === machine);
    if (own.length === 0) return;
    const { id, turnId, runId } = this.#pick(own);
    this.#note(machine, `${id}: call of ${turnId}, run ${runId}`);
    await machine.store.update(id, (conversation) => {
      const record = findTurn(conversation, turnId);
      if (record?.runId !== runId) return;
      const messages = messagesOf(record);
      const index = messages.findIndex(
        (message) => message.role === 'tool' && message.runId === runId);
      const result = { runId, content: `result ${runId}` };
      const [, completed] = roundOf(turnId, 'call-1', result);
      const changed: Message[] = messages.with(index, completed);
      const kept = record.kept ?? messages.filter(({ role }) => role === 'user').length;
      subtract(conversation, record);
      setMessages(record, index === -1 ? [...messages, ...round(turnId, runId)] : changed, kept);
      add(conversation, record);
    });
  }

  /** The turn is delivered again: calls of its earlier runs stay in front. */
  async #runAgain(machine: Machine, id: string): Promise<void> {
    const known = [...this.#turns].filter(([, made]) => made.id === id);
    if (known.length === 0) return;
    const [turnId] = this.#pick(known);
    this.#runs += 1;
    const runId = this.#runs;
    const isRun = await machine.store.update(id, (conversation) => {
      const record = findTurn(conversation, turnId);
      if (record === undefined || record.state === 'completed') return false;
      subtract(conversation, record);
      const messages = messagesOf(record).filter((message) =>
        message.role !== 'assistant' || message.toolCalls !== undefined);
      if (record.state !== 'open') conversation.openTurns += 1;
      record.state = 'open';
      record.runId = runId;
      delete record.said;
      delete record.heard;
      setMessages(record, [...messages, ...round(turnId, runId)], messages.length);
      add(conversation, record);
      return true;
    });
    if (!isRun) return;
    this.#open.push({ machine, id, turnId, runId });
    this.#note(machine, `${id}: run ${runId} of ${turnId}`);
  }

  /** A turn adds one more step to the list that is the state. */
  async #addToState(machine: Machine, id: string): Promise<void> {
    this.#changes += 1;
    const step = this.#step + this.#changes / 1_000; // two may act in one step
    const write: StateWrite = {
      onto: (stored = '{"steps":[]}') => {
        const { steps } = JSON.parse(stored) as { readonly steps: readonly number[] };
        const text = JSON.stringify({ steps: [...steps, step] });
        return { from: '{"steps":[]}', text, collisions: [], misses: [] };
      },
      ...NOTHING_FAILS,
    };
    const mark = await machine.store.update(id, (conversation) => {
      const record = conversation.turns.at(-1);
      if (record === undefined) return undefined;
      const { erasedAt } = conversation;
      keepState(conversation, record, { agentState: write, erasedAt });
      return conversation.erasedAt ?? 0;
    });
    if (mark === undefined) return;
    this.#states.push({ id, step, mark });
    this.#note(machine, `${id}: state ${step}`);
  }

  async #claim(machine: Machine, id: string): Promise<void> {
    this.#runs += 1;
    const runId = this.#runs;
    const key = this.#pick(KEYS);
    const step = this.#step;
    let mark: number | undefined;
    try {
      await machine.store.update(id, (conversation) => {
        mark = undefined;
        const { turns, onceCalls } = conversation;
        if (turns.length === 0 || onceCalls?.[key] !== undefined) return;
        mark = conversation.erasedAt ?? 0;
        const claimed = onceCall({ runId, claimedAt: Date.now() });
        conversation.onceCalls = { ...onceCalls, [key]: claimed };
      }, { mustBeStored: true });
    } catch (error) {
      assert.ok(error instanceof StoreError);
      this.#note(machine, `${id}: claim ${runId} was not confirmed`);
    }
    if (mark === undefined) return;
    this.#claims.push({
      id, step, mark, key, runId, machine, overAt: undefined, isDone: false,
    });
    this.#note(machine, `${id}: claim ${runId} of ${key.at(-1)}`);
  }

  async #finishClaim(): Promise<void> {
    const running = this.#claims.filter(({ overAt }) => overAt === undefined);
    if (running.length === 0) return;
    const claim = this.#pick(running);
    const { id, key, runId, machine } = claim;
    claim.overAt = this.#step;
    const isFreed = this.#random() < 0.5;
    this.#note(machine, `${id}: ${isFreed ? 'frees' : 'finishes'} ${runId}`);
    await machine.store.update(id, (conversation) => {
      const { onceCalls } = conversation;
      const known = onceCalls?.[key];
      claim.isDone = !isFreed && known?.runId === runId;
      if (known?.runId !== runId) return;
      if (isFreed) return freeKey(conversation, key);
      const completed: OnceCall = { ...known, state: 'completed', content: `once ${runId}` };
      conversation.onceCalls = { ...onceCalls, [key]: completed };
    });
  }

  async #erase(machine: Machine, id: string): Promise<void> {
    const step = this.#step;
    const mark = await machine.store.update(id, (conversation) => {
      clearTurns(conversation);
      return conversation.erasedAt ?? assert.fail('without a mark');
    });
    this.#erasures.push({ id, step, mark });
    this.#note(machine, `${id}: erase, mark ${mark}`);
  }

  #fail({ parts }: Machine): void {
    const isDown = parts.failWith !== undefined || parts.refuses !== undefined;
    parts.refuses = undefined;
    parts.failWith = undefined;
    const kind = this.#random();
    const machine = this.#machines.find((other) => other.parts === parts);
    this.#note(machine, isDown ? 'up' : 'down');
    if (isDown) return;
    if (kind < 0.2) parts.refuses = this.#pick(IDS);
    else parts.failWith = new Error('down');
    parts.failsAfterWriting = kind > 0.6;
  }

  #lose(id: string): void {
    const kind = this.#random();
    this.#note(undefined, `${id}: loss ${kind.toFixed(2)}`);
    if (kind < 0.4) this.#replica = new Map(this.#shared);
    else if (kind < 0.6) {
      for (const each of IDS) this.#hasLost.add(each);
      this.#shared.clear();
    } else if (kind < 0.8) {
      this.#hasLost.add(id);
      this.#shared.delete(id);
    } else {
      const older = this.#replica.get(id);
      if (older === undefined) return;
      this.#hasLost.add(id);
      this.#shared.set(id, older);
    }
  }

  /** Everything is up again, and every process has looked at every conversation. */
  async #recover(): Promise<void> {
    for (const { parts } of this.#machines) parts.failWith = parts.refuses = undefined;
    for (let tries = 0; ; tries++) {
      assert.ok(tries < 100, 'still waiting');
      this.#clock.pass(5_000);
      for (let turns = 0; turns < 20; turns++) await soon();
      const isDone = this.#machines.every(({ store }) =>
        store.health().turnsWaiting === 0 && !store.health().isDegraded);
      if (isDone) break;
    }
    for (let round = 0; round < 2; round++)
      for (const id of IDS) for (const { store } of this.#machines) await store.read(id);
  }

  async #check(id: string): Promise<void> {
    const all = await Promise.all(this.#machines.map(async ({ store }) => store.read(id)));
    for (const other of all) assert.deepEqual(other, all[0]);
    const latest = this.#erasures.filter((erasure) => erasure.id === id)
      .toSorted((a, b) => b.mark - a.mark)[0];
    const [conversation] = all;
    this.#checkTurns(id, conversation, latest);
    for (const record of conversation?.turns ?? [])
      for (const { state, content, runId } of toolMessagesOf(record))
        if (state === 'completed') assert.equal(content, `result ${runId}`);
    this.#checkState(id, conversation?.state, latest);
    this.#checkClaims(id, conversation, latest);
  }

  #checkTurns(
    id: string, conversation: Conversation | undefined, latest: Erasure | undefined,
  ): void {
    const found = new Set(conversation?.turns.map((turn) => turn.id));
    assert.equal(found.size, conversation?.turns.length ?? 0, 'a turn is there twice');
    for (const [turnId, made] of this.#turns) {
      if (made.id !== id) continue;
      if (latest !== undefined && made.step < latest.step)
        assert.equal(found.has(turnId), false, `${turnId} has returned`);
      if (made.mark === (latest?.mark ?? 0) && made.step !== latest?.step)
        assert.equal(found.has(turnId), true, `${turnId} is lost`);
    }
  }

  #checkState(id: string, state: string | undefined, latest: Erasure | undefined): void {
    const written = this.#states.filter(
      ({ id: of, mark }) => of === id && mark === (latest?.mark ?? 0));
    if (written.length > 0) assert.notEqual(state, undefined, 'the state is lost');
    if (state === undefined) return;
    const { steps } = JSON.parse(state) as { readonly steps: readonly number[] };
    assert.equal(new Set(steps).size, steps.length, `a change was made twice: ${state}`);
    if (latest !== undefined)
      assert.ok(steps.every((step) => step >= latest.step), `the state has returned: ${state}`);
    const lacking = written.filter(({ step }) => !steps.includes(step));
    if (!this.#hasLost.has(id))
      assert.deepEqual(lacking.map(({ step }) => step), [], `changes are lost: ${state}`);
  }

  #checkClaims(
    id: string, conversation: Conversation | undefined, latest: Erasure | undefined,
  ): void {
    for (const key of KEYS) {
      const claims = this.#claims.filter((claim) => claim.id === id && claim.key === key);
      const call = conversation?.onceCalls?.[key];
      const isErased = latest !== undefined && call?.content === 'null';
      if (call?.state === 'completed' && !isErased)
        assert.equal(call.content, `once ${call.runId}`);
      if (call !== undefined)
        assert.ok(claims.some(({ runId }) => runId === call.runId), 'nobody claimed it');
      // Of two that a loss let claim one key, one stays.
      const isAlone = (claim: Claim): boolean =>
        claims.every((other) => other === claim || (other.overAt ?? Infinity) < claim.step);
      if (claims.some((claim) => claim.overAt === undefined && isAlone(claim)))
        assert.notEqual(call, undefined, `a claim of ${key.at(-1)} is lost`);
      if (claims.some(({ isDone, step }) => isDone && step > (latest?.step ?? 0)))
        assert.equal(call?.state, 'completed', `a result of ${key.at(-1)} is lost`);
      const owner = claims.find(({ runId }) => runId === call?.runId);
      if (call?.state === 'running') assert.equal(owner?.overAt, undefined, 'a freed key is stuck');
    }
  }
}

/** A call that runs. All calls have the same id. */
function round(turnId: string, runId: number): Message[] {
  return roundOf(turnId, 'call-1', { content: 'wait', runId, state: 'running' });
}

function isOfRun(message: Message, runId: number): boolean {
  return message.role === 'tool' ? message.runId === runId : true;
}
