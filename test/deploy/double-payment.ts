// The double payment: while a payment is running, its caller goes on talking, the next words reach
// another process, and the model calls `pay` again.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

import { UNFINISHED_RESULTS } from '../../src/core/conversations/unfinished-tool-results.ts';
import { createTestClient, type TestEvent, type TestReply } from '../../src/kit/test-client.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { SECRET, Workplace, type SpawnedServer } from '../fixtures/spawned-server.ts';

export interface PaymentPlan {
  readonly storeUrl: string;
  /** Two servers, or one with two workers. */
  readonly processes: 'servers' | 'workers';
  /** Whether the tool acts once. If it does not, the play has to find double payments. */
  readonly isOnce: boolean;
  readonly callers: number;
}

export interface PaymentVerdict {
  /** Callers whose next words reached another process. */
  readonly elsewhere: number;
  /** Invoices that were charged more than once. */
  readonly doubled: readonly string[];
  /**
   * Callers who were told that the outcome is unknown, because the paying process did not answer
   * the other one in time: the machine is busy. They were charged once, or never.
   */
  readonly unknown: number;
  /** Invoices that were not charged, and callers who were told nothing true. */
  readonly faults: readonly string[];
}

/** How long the bank takes. The caller goes on talking meanwhile. */
const BANK_MS = 500;
/** All callers begin within this time. */
const BEGIN_MS = 2_500;

/**
 * The model of this agent calls `pay` whenever the caller says something, and then says what came
 * of it. Its first word is the id of the process. The bank adds the invoice to the file, as a line.
 */
function agentModule(bank: string, isOnce: boolean): string {
  const built = (name: string): string => JSON.stringify(pathToFileURL(join(ROOT, name)).href);
  return `
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineAgent, tool } from ${built('dist/index.js')};
import { scriptedModel } from ${built('dist/testing.js')};

const pay = tool({
  name: 'pay',
  description: 'Charges the card for an invoice.',
  parameters: { type: 'object', properties: { invoice: { type: 'string' } } },
  ${isOnce ? 'once: true' : "whenInterrupted: 'finish'"},
  async run({ invoice }) {
    appendFileSync(${JSON.stringify(bank)}, invoice + '\\n');
    await sleep(${BANK_MS});
    return { receipt: 'R-' + invoice };
  },
});

const model = scriptedModel(({ messages }) => {
  const { role, content } = messages.at(-1);
  if (role === 'tool') return String(content);
  return [process.pid + ' ', { call: 'pay', args: { invoice: content.split(' ').at(-1) } }];
});

export default defineAgent({ name: 'payments', prompt: 'You take payments.', tools: [pay], model });
`;
}

/** Lets the callers pay, each their own invoice. Rejects if a process cannot be started. */
export async function playDoublePayments(plan: PaymentPlan): Promise<PaymentVerdict> {
  const workplace = new Workplace();
  try {
    const bank = workplace.write('bank', '');
    workplace.write('agent.mjs', agentModule(bank, plan.isOnce));
    workplace.usePeers();
    const urls = await serve(workplace, plan);
    const callers = await Promise.all(
      Array.from({ length: plan.callers }, async (_, number) => {
        await sleep((number / plan.callers) * BEGIN_MS);
        return call(urls, `I${number}`);
      }));
    const charged = readFileSync(bank, 'utf8').split('\n').filter(Boolean);
    return verdictOf(callers, charged);
  } finally {
    await workplace.clear();
  }
}

/** The URLs that a caller's first and next words go to. */
async function serve(
  workplace: Workplace, { storeUrl, processes }: PaymentPlan,
): Promise<readonly [string, string]> {
  const start = (workers: string): SpawnedServer => workplace.spawn({
    env: {
      NODE_ENV: 'production',
      AGENT: './agent.mjs',
      LAYERCODE_WEBHOOK_SECRET: SECRET,
      CONVERSATION_STORE: storeUrl,
      STORE_TIMEOUT_MS: '2000', // a busy machine must not look like a failing store
      ACCESS_LOG: 'false',
      WORKERS: workers,
    },
  });
  if (processes === 'workers') {
    const server = start('2');
    await server.lines('listening', 2);
    return [await server.url(), await server.url()];
  }
  const [a, b] = [start('1'), start('1')];
  return [await a.url(), await b.url()];
}

interface PayingCaller {
  readonly invoice: string;
  /** The processes that the first and the next words reached. */
  readonly reached: readonly [string, string];
  /** What was heard of the second reply. */
  readonly heard: string;
}

async function call(
  [first, next]: readonly [string, string], invoice: string,
): Promise<PayingCaller> {
  const caller = createTestClient(first, { secret: SECRET });
  const { conversationId } = caller;
  const paying = await caller.say(`Please pay ${invoice}`);
  const events = paying[Symbol.asyncIterator]();
  const words = wordIn((await events.next()).value);
  const other = createTestClient(next, { secret: SECRET, conversationId });
  const again = await other.say(`Hello? Please pay ${invoice}`);
  const heard = await textOf(again);
  for (let event = await events.next(); event.done !== true; ) event = await events.next();
  return { invoice, reached: [words.trim(), heard.split(' ')[0] ?? ''], heard };
}

async function textOf(reply: TestReply): Promise<string> {
  return (await reply.events()).map(wordIn).join('');
}

function wordIn(event: TestEvent | void): string {
  return event?.type === 'response.tts' ? String(event.content) : '';
}

export function verdictOf(
  callers: readonly PayingCaller[], charged: readonly string[],
): PaymentVerdict {
  const times = (invoice: string): number => charged.filter((line) => line === invoice).length;
  const isTold = ({ invoice, heard }: PayingCaller): boolean => heard.includes(`R-${invoice}`);
  const { unknown } = UNFINISHED_RESULTS;
  const isUnknown = ({ heard }: PayingCaller): boolean => heard.includes(unknown);
  return {
    elsewhere: callers.filter(({ reached: [first, next] }) => first !== next).length,
    doubled: callers.map(({ invoice }) => invoice).filter((invoice) => times(invoice) > 1),
    unknown: callers.filter(isUnknown).length,
    faults: callers.filter((caller) => !isUnknown(caller)).flatMap((caller) => {
      const { invoice, heard } = caller;
      return [
        ...(times(invoice) === 0 ? [`${invoice} was not charged`] : []),
        ...(isTold(caller) ? [] : [`${invoice}: heard "${heard}"`]),
      ];
    }),
  };
}
