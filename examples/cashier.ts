// An agent that takes payments: docs/payments.md explains it.

import {
  defineAgent, defineState, NotDone, tool, type Agent, type OnceContext,
} from 'layercode-microserver';

import { bank as ourBank, type Bank } from './bank.ts';

/** In cents. In your program: a look-up in the shop's books. */
const PRICES: ReadonlyMap<string, number> = new Map([['4711', 4_200]]);

interface Payments {
  /** The invoice whose price the caller was last told, and the turn in which that happened. */
  quote?: { invoice: string; cents: number; turnId: string };
}

const payments = defineState((): Payments => ({}));

const parameters = {
  type: 'object',
  properties: { invoice: { type: 'string' } },
  required: ['invoice'],
  additionalProperties: false,
} as const;

const quote = tool({
  name: 'quote',
  description: 'The price of an invoice. Tell it to the caller, and ask whether to pay.',
  parameters,
  state: payments,
  repeatable: true, // on other platforms, a quote that was discarded unheard does not count
  async run({ invoice }, { state, turnId, saveState }) {
    const cents = centsOf(invoice);
    state.quote = { invoice, cents, turnId };
    await saveState(); // the caller's answer may reach another process
    return { cents };
  },
});

const payTool = (bank: Bank) =>
  tool({
    name: 'pay',
    description: 'Pays an invoice. Call it when the caller has heard the price and agreed to it.',
    parameters,
    state: payments,
    once: ({ invoice }, context) => agreedTo(invoice, context).invoice,
    async run({ invoice }, context) {
      const { idempotencyKey, attempt, signal } = context;
      const { cents } = agreedTo(invoice, context);
      return bank.charge({ invoice, cents, key: `${idempotencyKey}-${attempt}`, signal });
    },
  });

const refundTool = (bank: Bank) =>
  tool({
    name: 'refund',
    description: 'Pays an invoice back. Call it when the caller has asked for it.',
    parameters,
    once: ({ invoice }) => invoice,
    run: ({ invoice }, { idempotencyKey: key, signal }) =>
      bank.refund({ invoice, cents: centsOf(invoice), key, signal }),
  });

/** The quote, if the caller has had a turn in which to refuse it. */
function agreedTo(
  invoice: string,
  { state, turnId }: Pick<OnceContext<Payments>, 'state' | 'turnId'>,
): NonNullable<Payments['quote']> {
  const told = state.quote;
  if (told?.invoice !== invoice) throw new NotDone('call quote first, and tell the price');
  if (told.turnId === turnId) throw new NotDone('tell the price, and wait for the answer');
  return told;
}

function centsOf(invoice: string): number {
  const cents = PRICES.get(invoice);
  if (cents === undefined) throw new NotDone('there is no such invoice');
  return cents;
}

export const cashier = (bank: Bank): Agent =>
  defineAgent({
    name: 'cashier',
    state: payments,
    welcome: 'Hello! Which invoice would you like to pay?',
    prompt: `You take payments on the phone. One short sentence at a time.
Say "I am asking the bank." before you call pay.
"outcome unknown": say that a colleague will call back, and do not try again.
"not started": say that nothing was paid, and that you can try again.
"done before": it was paid earlier in this call, and nothing was paid now.`,
    filler: 'One moment, please.',
    tools: [quote, payTool(bank), refundTool(bank)],
  });

export default cashier(ourBank);
