// A pizza shop on the telephone: a cart that belongs to the call, tools with typed arguments, and a
// prompt for each caller. npm install zod@4
// OPENAI_API_KEY=… AGENT=./examples/pizza.ts npm start (Node 22.18 or later), or npx tsx.
import { defineAgent, defineState, hangUp, NotDone, tool } from 'layercode-microserver';
import { z } from 'zod';

const CENTS = { margherita: 900, funghi: 1_050, diavola: 1_150 } as const;

const Kind = z.enum(['margherita', 'funghi', 'diavola']);

interface Line {
  readonly kind: z.infer<typeof Kind>;
  readonly count: number;
}

/** What belongs to a call besides its history. Tools and prompt see the same object. */
const order = defineState(() => ({ cart: {} as Record<string, Line>, isPlaced: false }));

const addPizza = tool({
  name: 'add_pizza',
  description: 'Puts pizzas of one kind into the cart.',
  parameters: z.object({ kind: Kind, count: z.number().int().min(1).max(20).default(1) }),
  state: order,
  repeatable: true, // changes only the state, under a key: the same call adds nothing
  run: ({ kind, count }, { state, idempotencyKey }) => {
    if (state.isPlaced) throw new Error('the order has been placed and cannot be changed');
    state.cart[idempotencyKey] = { kind, count };
    const cart = Object.values(state.cart);
    return { cart, totalCents: totalOf(cart) };
  },
});

const placeOrder = tool({
  name: 'place_order',
  description: 'Sends the cart to the kitchen, once the caller has confirmed it.',
  parameters: z.object({ name: z.string().min(1).max(80).describe('Who fetches it.') }),
  state: order,
  once: () => 'the order', // a second yes orders nothing, and a caller who hangs up gets the pizzas
  run: ({ name }, { state, caller, log }) => {
    const cart = Object.values(state.cart);
    if (cart.length === 0) throw new NotDone('the cart is empty');
    state.isPlaced = true;
    log.info('order placed', { lines: cart.length, isByPhone: caller !== undefined });
    return { placedFor: name, minutes: 20, totalCents: totalOf(cart) };
  },
});

function totalOf(cart: readonly Line[]): number {
  return cart.reduce((sum, { kind, count }) => sum + count * CENTS[kind], 0);
}

const REGULARS: Readonly<Record<string, string>> = { '+15550100': 'Ada' };

export default defineAgent({
  name: 'pizza',
  state: order,
  welcome: ({ caller, isResumed }) => {
    const name = REGULARS[caller?.from ?? ''];
    if (isResumed) return 'There you are again.';
    return `Hello${name === undefined ? '' : ` ${name}`}, this is the pizza shop!`;
  },
  // Only what stays the same during a call; what changes is in the tool results.
  prompt: ({ caller }) =>
    'You take orders for a pizza shop. One or two short sentences, no lists, prices in words. '
    + `There are ${Kind.options.join(', ')}. Repeat the order before you place it. `
    + `The caller's number is ${caller?.from ?? 'unknown: ask for one'}.`,
  tools: [addPizza, placeOrder, hangUp],
  temperature: 0.3,
  onSessionEnd: ({ state, log }) => {
    if (!state.isPlaced) log.info('order not placed', { lines: Object.keys(state.cart).length });
  },
});
