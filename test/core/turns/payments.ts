// An agent that pays, in one process or in several that share a store. Its model calls `pay` with
// the amount that the caller names, and says what the tool returned.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import type { State } from '../../../src/core/state/state.ts';
import { tool, type Tool, type ToolContext } from '../../../src/core/tools/tool.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import type { CallRecords } from '../../../src/server/records/call-recorder.ts';
import { deferred, serve, Told, until, type Deferred, type Served } from '../../fixtures/app.ts';
import { quickClock } from '../../fixtures/clock.ts';
import { Post } from '../../fixtures/post.ts';
import { spoken } from '../conversations/asking-back.ts';
import { sharing } from '../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';

export const ID = { conversation_id: 'c' } as const;
export const UNKNOWN = '{"error":"outcome unknown"}';
/** What a later call for the same payment is told. */
export const DONE_BEFORE = '{"status":"done before","result":{"paid":5}}';

type Amount = { readonly amount: number };
type Pay = (args: Amount, context: ToolContext) => unknown;
type ToolOptions = Partial<Parameters<typeof tool>[0]>;

export function payTool(run: Pay, more: ToolOptions = {}): Tool {
  return tool({
    name: 'pay',
    description: 'Pays.',
    parameters: {
      type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'],
    },
    once: true,
    ...more,
    run: (args, context) => run(args as Amount, context as ToolContext),
  });
}

/** A tool, or a function of the turn that makes it. */
export type Paying = Tool | (() => Tool);

/** Calls `pay` for "pay 5" and "pay 5 with x", and says the result; says "Yes." to other words. */
export function payAgent(pay: Paying, state?: State): Agent {
  const model = scriptedModel(({ messages }) => {
    const last = messages.at(-1);
    if (last?.role === 'tool') return last.content;
    const [, amount] = /^pay (\d+)/.exec(String(last?.content)) ?? [];
    return amount === undefined ? 'Yes.' : [{ call: 'pay', args: { amount: Number(amount) } }];
  });
  const tools = typeof pay === 'function' ? () => [pay()] : [pay];
  const agent = { name: 'shop', prompt: 'Pay.', model, tools };
  return defineAgent(state === undefined ? agent : { ...agent, state });
}

export interface Shop extends Served {
  /** Says the words in a turn of their own, and returns the reply. */
  says(words: string, fields?: Readonly<Record<string, unknown>>): Promise<string>;
}

let shops = 0;

export function shop(t: TestContext, pay: Paying, options: Parameters<typeof serve>[2] = {}): Shop {
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
  /** The first process's connection to the database. */
  readonly parts: PartsInMemory;
  /** From now on the first process has no messages and no heartbeats, and the others know it. */
  loseFirst(): Promise<void>;
}

/** Three processes over one store. Time passes quickly, because they wait for each other a lot. */
export function machines(t: TestContext, pay: () => Paying, records?: CallRecords): Machines {
  const clock = quickClock(t);
  const shared: SharedParts = new Map();
  const post = new Post();
  const open = (address: string): { own: Shop; parts: PartsInMemory } => {
    const parts = new PartsInMemory(shared, { isSlow: true });
    const store = sharing(parts, { timeoutMs: 5_000 });
    const channel = post.channel(address);
    const options = records === undefined ? { store, channel } : { store, channel, records };
    return { own: shop(t, pay(), options), parts };
  };
  const [{ own: a, parts }, { own: b }, { own: c }] = [open('p0'), open('p1'), open('p2')];
  const loseFirst = async (): Promise<void> => {
    for (let beats = 0; beats < 6; beats++) {
      clock.pass(1_500);
      for (let turns = 0; turns < 5; turns++) await soon();
    }
    post.kill('p0');
    parts.isSilent = true;
    shared.delete('\theartbeat\tp0');
  };
  return { a, b, c, post, parts, loseFirst };
}

/** A tool whose calls the test ends, each by its amount. */
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

export interface Payment extends Machines {
  readonly bank: Bank;
  /** The reply to the first caller. */
  readonly first: Promise<string>;
  /** Asks for the same payment there. The reply comes once the first payment is over. */
  waits(shop: Shop): Promise<{ readonly reply: Promise<string> }>;
}

interface PaymentOptions {
  /** Makes the tool of each process. */
  readonly pay?: (pay: Pay) => Paying;
  /** What is said first, and in which process. */
  readonly before?: (all: Machines) => Promise<unknown>;
  readonly records?: CallRecords;
}

/** The first of three processes is paying 5. */
export async function paying(
  t: TestContext, { pay = (run) => payTool(run), before, records }: PaymentOptions = {},
): Promise<Payment> {
  const bank = new Bank();
  t.after(() => bank.answer(5));
  const all = machines(t, () => pay(bank.pay), records);
  await before?.(all);
  const first = all.a.says('pay 5', { turn_id: 'paying' });
  first.catch(() => undefined); // its process may be lost
  await bank.begun();
  const waits = async (shop: Shop): Promise<{ readonly reply: Promise<string> }> => {
    const reply = shop.says('pay 5');
    await until(() => all.post.waitedFor.has('p0'), 'a call that waits');
    return { reply };
  };
  return { ...all, bank, first, waits };
}

/** Asks for a payment every now and then until the reply is right, but not for ever. */
export async function paysAtLast(from: Shop, right: RegExp): Promise<void> {
  const replies = new Set<string>();
  for (let tries = 0; tries < 100; tries++) {
    const reply = await from.says('pay 5');
    if (right.test(reply)) return;
    replies.add(reply);
    await new Promise((resolve) => setTimeout(resolve, 100)); // on the quick clock
  }
  assert.fail(`the replies were ${[...replies].join(', ')}`);
}

export function errorsOf(served: Served, msg: string): Record<string, unknown>[] {
  return linesOf(served, msg).filter((line) => line['level'] === 'error');
}

/** The log lines with that message. */
export function linesOf({ logLines }: Served, msg: string): Record<string, unknown>[] {
  return logLines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['msg'] === msg);
}
