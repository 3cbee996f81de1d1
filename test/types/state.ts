// Compiled, but not run: how the type of a state reaches hooks and tools. `npm run test:types`.

import {
  defineAgent, defineState, hangUp, tool, type Agent, type Caller, type Message, type Tool,
} from 'layercode-microserver';

import { same } from './same.ts';

interface Line {
  readonly kind: string;
  readonly count: number;
}

const order = defineState(() => ({ cart: [] as Line[], name: undefined as string | undefined }));
type Order = ReturnType<typeof order.create>;
const booking = defineState(() => ({ table: 0 }));

const named = { description: 'Does it.', parameters: { type: 'object', properties: { kind: { type: 'string' } }, required: ['kind'] } } as const;

const addPizza = tool({
  ...named,
  name: 'add_pizza',
  state: order,
  run: ({ kind }, { state, caller }) => {
    same<typeof state, Order>(true);
    same<typeof caller, Caller | undefined>(true);
    state.cart.push({ kind, count: 1 });
    // @ts-expect-error A misspelt field of the state.
    return state.catr;
  },
});
same<typeof addPizza, Tool<Order>>(true);

const bookTable = tool({ ...named, name: 'book_table', state: booking, run: (_args, { state }) => (state.table += 1) });

const plain = tool({
  ...named,
  name: 'plain',
  run: ({ kind }, { state }) => {
    same<typeof state, unknown>(true);
    return kind;
  },
});

// Tools with the agent's state, and tools without a state.
const agent = defineAgent({ name: 'pizza', state: order, prompt: 'Hi.', tools: [addPizza, plain, hangUp] });
same<typeof agent, Agent>(true);

// @ts-expect-error A tool with another state.
defineAgent({ name: 'pizza', state: order, prompt: 'Hi.', tools: [addPizza, bookTable] });
// @ts-expect-error A tool with a state, and an agent without one.
defineAgent({ name: 'pizza', prompt: 'Hi.', tools: [addPizza] });
// @ts-expect-error A state that is written in place reaches no tool.
defineAgent({ name: 'pizza', state: () => ({ cart: [] as Line[], name: undefined }), prompt: 'Hi.', tools: [addPizza] });
defineAgent({ name: 'pizza', state: () => ({ cart: [] as Line[] }), prompt: 'Hi.', tools: [plain, hangUp] });

// Hooks, with a value of defineState and with a state that is written in place.
defineAgent({
  name: 'hooks',
  state: order,
  onSessionStart: ({ state, caller, isResumed }) => {
    same<typeof state, Order>(true);
    return `${caller?.from} ${isResumed}`;
  },
  onMessage: ({ state, text }) => {
    same<typeof state, Order>(true);
    // @ts-expect-error A misspelt field of the state.
    return `${text} ${state.catr}`;
  },
  onSessionEnd: ({ state, history }) => {
    same<typeof state, Order>(true);
    same<typeof history, readonly Message[]>(true);
  },
});
defineAgent({
  name: 'in place',
  state: () => ({ count: 0 }),
  onMessage: ({ state }) => {
    same<typeof state, { count: number }>(true);
    return `${(state.count += 1)}`;
  },
});
defineAgent({
  name: 'none',
  onMessage: ({ state }) => {
    same<typeof state, undefined>(true);
  },
});

// Functions of the turn.
defineAgent({
  name: 'per turn',
  state: order,
  welcome: ({ state, isResumed }) => {
    same<typeof state, Order>(true);
    return `${isResumed}`;
  },
  prompt: ({ state, caller, text }) => {
    same<typeof state, Order>(true);
    return `${caller?.from} ${text}`;
  },
  tools: async ({ state }) => (state.cart.length > 0 ? [addPizza, plain] : [plain]),
  model: ({ text }) => (text.length > 99 ? 'openai:gpt-5' : undefined),
});
// @ts-expect-error A function that makes tools with another state.
defineAgent({ name: 'per turn', state: order, prompt: 'Hi.', tools: () => [bookTable] });
// @ts-expect-error A prompt that is not a string.
defineAgent({ name: 'per turn', state: order, prompt: ({ state }) => state.cart.length });

// A state is an object.
// @ts-expect-error A number is not.
defineState(() => 1);
// What was defined can be defined again, as the loader of modules does.
defineAgent(agent);
