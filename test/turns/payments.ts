// An agent that pays, in one process or in several that share a store. Its model calls `pay` with
// the amount that the caller names, and says what it got back.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import type { Agent } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import type { State } from '../../src/agents/state/state.ts';
import { soon } from '../../src/base/awaitable.ts';
import type { Epoch } from '../../src/conversations/stores/part-store.ts';
import { SharedStore } from '../../src/conversations/stores/shared-store.ts';
import { createLogger } from '../../src/log.ts';
import type { ChatModel } from '../../src/models/model.ts';
import { tool, type Tool, type ToolContext } from '../../src/tools/tool.ts';
import { spoken } from '../conversations/asking-back.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';
import { deferred, serve, Told, until, type Deferred, type Served } from '../fixtures/app.ts';
import { quickClock } from '../fixtures/clock.ts';
import { Post } from '../fixtures/post.ts';

export const ID = { conversation_id: 'c' } as const;

type Amount = { readonly amount: number };
type Pay = (args: Amount, context: ToolContext) => unknown;

/** Calls `pay` for "pay 5" and "pay 5 with x", and says the result; says "Yes." to other words. */
const payer: ChatModel = {
  name: 'test:payer',
  async *stream(messages) {
    const last = messages.at(-1);
    if (last?.role === 'tool') yield { type: 'text', text: last.content };
    else {
      const [, amount] = /^pay (\d+)/.exec(String(last?.content)) ?? [];
      if (amount === undefined) yield { type: 'text', text: 'Yes.' };
      else {
        const call = { id: 'call_1', name: 'pay', args: `{"amount":${amount}}` };
        yield { type: 'toolCall', call };
      }
    }
  },
  warm: () => Promise.resolve(),
  problems: () => [],
  isUsable: () => true,
};

export function payTool(run: Pay, more: Partial<Parameters<typeof tool>[0]> = {}): Tool {
  return tool({
    name: 'pay',
    description: 'Pays.',
    parameters: {
      type: 'object',
      properties: { amount: { type: 'number' } },
      required: ['amount'],
    },
    once: true,
    ...more,
    run: (args, context) => run(args as Amount, context as ToolContext),
  });
}

/** A tool, or a function of the turn that makes it. */
export type Paying = Tool | (() => Tool);

export function payAgent(pay: Paying, state?: State): Agent {
  const tools = typeof pay === 'function' ? () => [pay()] : [pay];
  const agent = { name: 'shop', prompt: 'Pay.', model: payer, tools };
  return defineAgent(state === undefined ? agent : { ...agent, state });
}

export interface Shop extends Served {
  /** Says it in a turn of its own, and returns the reply. */
  says(words: string, fields?: Readonly<Record<string, unknown>>): Promise<string>;
}

let shops = 0;

export function shop(
  t: TestContext,
  pay: Paying,
  options: Parameters<typeof serve>[2] = {},
): Shop {
  const served = serve(t, payAgent(pay), options);
  shops += 1;
  const name = `shop ${shops}`;
  let turns = 0;
  return {
    ...served,
    says: (words, fields = {}) =>
      spoken(served.client.say(words, { turn_id: `${name}, turn ${++turns}`, ...ID, ...fields })),
  };
}

export interface Machines {
  readonly a: Shop;
  readonly b: Shop;
  readonly c: Shop;
  readonly post: Post;
  readonly shared: SharedParts;
  /** The database's way to each process. */
  readonly parts: readonly [PartsInMemory, PartsInMemory];
  /** The store loses all that it had, as it does when it is another server from now on. */
  loseAll(): void;
  /** The first process has no messages and no heartbeats any more, and the others know it. */
  loseFirst(): Promise<void>;
}

/**
 * Three processes over one store, whose time passes quickly: they wait for each other a lot.
 * Without `hasChannel` they exchange no messages.
 */
export function machines(
  t: TestContext,
  pay: () => Paying,
  { hasChannel = true, environment = {} }: {
    readonly hasChannel?: boolean;
    readonly environment?: Readonly<Record<string, string>>;
  } = {},
): Machines {
  const clock = quickClock(t);
  const shared: SharedParts = new Map();
  const post = new Post();
  const parts = [0, 1, 2].map(() => new PartsInMemory(shared, { isSlow: true }));
  const open = (index: number): Shop => {
    const store = new SharedStore(parts[index] as PartsInMemory, {
      ttlMs: 3_600_000,
      maxRemembered: 100,
      timeoutMs: 5_000,
      log: createLogger({ level: 'silent', write: () => undefined }),
    });
    const channel = hasChannel ? { channel: post.channel(`p${index}`) } : {};
    return shop(t, pay(), { store, environment, ...channel });
  };
  const [first, second] = parts as [PartsInMemory, PartsInMemory];
  const loseAll = (): void => {
    shared.clear();
    const safeAtMs = performance.now() + 3_000;
    const epochNow = (): Epoch => ({
      id: 'second', restMs: Math.max(0, safeAtMs - performance.now()),
    });
    for (const store of parts) store.epochNow = epochNow;
  };
  const loseFirst = async (): Promise<void> => {
    for (let beats = 0; beats < 6; beats++) {
      clock.pass(1_500);
      for (let turns = 0; turns < 5; turns++) await soon();
    }
    post.kill('p0');
    first.isSilent = true;
    shared.delete('\theartbeat\tp0');
  };
  const shops = { a: open(0), b: open(1), c: open(2) };
  return { ...shops, post, shared, parts: [first, second], loseAll, loseFirst };
}

/** A tool whose calls the test ends, by the amount. */
export class Bank {
  readonly calls: number[] = [];
  readonly keys = new Set<string>();
  readonly #begun = new Told<number>();
  readonly #gates = new Map<number, Deferred<() => unknown>>();

  readonly pay: Pay = ({ amount }, { idempotencyKey }) => {
    this.calls.push(amount);
    this.keys.add(idempotencyKey);
    this.#begun.tell(amount);
    return this.#gate(amount).promise.then((end) => end());
  };

  begun(): Promise<number> {
    return this.#begun.next('the payment');
  }

  answer(amount: number, value: unknown = { paid: amount }): void {
    this.#gate(amount).resolve(() => value);
  }

  fail(amount: number, error: Error): void {
    this.#gate(amount).resolve(() => {
      throw error;
    });
  }

  #gate(amount: number): Deferred<() => unknown> {
    const gate = this.#gates.get(amount) ?? deferred<() => unknown>();
    this.#gates.set(amount, gate);
    return gate;
  }
}

/** Resolves once a call of another process waits for one of that process. */
export function waitsFor(process: string, { waitedFor }: Post): Promise<void> {
  return until(() => waitedFor.has(process), 'a call that waits');
}

/** Asks for a payment every now and then until the reply is right, but not for ever. */
export async function paysAtLast(from: Shop, isRight: (reply: string) => boolean): Promise<void> {
  const replies = new Set<string>();
  for (let tries = 0; tries < 100; tries++) {
    const reply = await from.says('pay 5');
    if (isRight(reply)) return;
    replies.add(reply);
    await new Promise((resolve) => setTimeout(resolve, 100)); // of the quick clock
  }
  assert.fail(`the replies were ${[...replies].join(', ')}`);
}

export function errorsOf(served: Served, msg: string): Record<string, unknown>[] {
  return linesOf(served, msg).filter((line) => line['level'] === 'error');
}

/** The lines of the log that say so. */
export function linesOf({ logLines }: Served, msg: string): Record<string, unknown>[] {
  return logLines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['msg'] === msg);
}
