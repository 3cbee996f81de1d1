// An agent that takes payments: docs/payments.md explains it.

import { isDeepStrictEqual } from 'node:util';

import {
  defineAgent, defineState, NotDone, tool, type Agent, type OnceContext,
} from 'layercode-microserver';

import { bank as ourBank, type Bank } from './bank.ts';

/** In cents. In your program: a look-up in the shop's books. */
const PRICES: ReadonlyMap<string, number> = new Map([['4711', 4_200]]);

const EXPRESS_CENTS = 900;

/** What a price is the price of. */
interface Offer {
  readonly invoice: string;
  readonly express: boolean;
  readonly cents: number;
}

interface Payments {
  /** Invoices whose goods are to come by express. */
  express: Record<string, true>;
  /** What the caller was last told the price of, and the turn in which that happened. */
  quote?: Offer & { readonly turnId: string };
  /** What was paid, in cents, by invoice. */
  paid: Record<string, number>;
}

const payments = defineState((): Payments => ({ express: {}, paid: {} }));

const parameters = {
  type: 'object',
  properties: { invoice: { type: 'string' } },
  required: ['invoice'],
  additionalProperties: false,
} as const;

const express = tool({
  name: 'express',
  description: 'Has the goods of an invoice delivered by express, which changes its price.',
  parameters,
  state: payments,
  repeatable: true, // changes only the state: the same call adds nothing
  run({ invoice }, { state }) {
    if (state.paid[invoice] !== undefined) throw new NotDone('it is paid already');
    offerOf(invoice, state); // there is such an invoice
    state.express[invoice] = true;
    return { next: 'call quote, and tell the new price' };
  },
});

const quote = tool({
  name: 'quote',
  description: 'The price of an invoice. Tell it to the caller, and ask whether to pay.',
  parameters,
  state: payments,
  repeatable: true, // on other platforms, a quote that was discarded unheard does not count
  async run({ invoice }, { state, turnId, saveState }) {
    const offer = offerOf(invoice, state);
    state.quote = { ...offer, turnId };
    await saveState(); // the caller's answer may reach another process
    return { cents: offer.cents };
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
      const key = `${idempotencyKey}-${attempt}`;
      const receipt = await bank.charge({ invoice, cents, key, signal });
      context.state.paid[invoice] = cents;
      return receipt;
    },
  });

const refundTool = (bank: Bank) =>
  tool({
    name: 'refund',
    description: 'Pays an invoice back. Call it when the caller has asked for it.',
    parameters,
    state: payments,
    once: ({ invoice }) => invoice,
    run({ invoice }, { state, idempotencyKey: key, signal }) {
      const cents = state.paid[invoice] ?? offerOf(invoice, state).cents;
      return bank.refund({ invoice, cents, key, signal });
    },
  });

/** The quote, if the caller has had a turn in which to refuse it, and it is still right. */
function agreedTo(
  invoice: string,
  { state, turnId }: Pick<OnceContext<Payments>, 'state' | 'turnId'>,
): NonNullable<Payments['quote']> {
  const told = state.quote;
  if (told?.invoice !== invoice) throw new NotDone('call quote first, and tell the price');
  if (told.turnId === turnId) throw new NotDone('tell the price, and wait for the answer');
  // Compared, as a change in another process may have been unable to see the quote.
  if (!isDeepStrictEqual(told, { ...offerOf(invoice, state), turnId: told.turnId }))
    throw new NotDone('the price has changed: call quote, and tell the new one');
  return told;
}

function offerOf(invoice: string, state: Payments): Offer {
  const cents = PRICES.get(invoice);
  if (cents === undefined) throw new NotDone('there is no such invoice');
  const isExpress = state.express[invoice] === true;
  return { invoice, express: isExpress, cents: cents + (isExpress ? EXPRESS_CENTS : 0) };
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
    tools: [express, quote, payTool(bank), refundTool(bank)],
  });

export default cashier(ourBank);
