// What callers hear. With a model's key in .env a model answers; without one, the stand-in does.
import { defineAgent, defineState, hangUp, tool, type Agent } from 'layercode-microserver';

const hours: Readonly<Record<string, string>> = {
  Monday: 'closed',
  Tuesday: 'open from nine to six',
  Wednesday: 'open from nine to six',
  Thursday: 'open from nine to eight',
  Friday: 'open from nine to six',
  Saturday: 'open from ten to four',
  Sunday: 'closed',
};

/** A function that the model may call. Add your own, and list it in `tools` below. */
const openingHours = tool({
  name: 'opening_hours',
  repeatable: true, // only reads, so its calls need not wait
  description: 'Whether the shop is open on a day of the week, and from when to when.',
  parameters: {
    type: 'object',
    properties: { day: { type: 'string', enum: Object.keys(hours) } },
    required: ['day'],
    additionalProperties: false,
  },
  run: ({ day }) => ({ hours: hours[day] ?? 'not known' }),
});

interface Parcel {
  readonly goods: string;
  readonly count: number;
}

/** What the agent keeps of each call besides its history: plain JSON. */
const order = defineState(() => ({ putAside: {} as Record<string, Parcel> }));

/** Its arguments are checked before it runs, and have types. So has the state. */
const putAside = tool({
  name: 'put_aside',
  state: order,
  repeatable: true, // changes only the state, under a key: the same call adds nothing
  description: 'Puts goods aside for the caller, to be picked up later.',
  parameters: {
    type: 'object',
    properties: {
      goods: { type: 'string', description: 'In the singular, such as "loaf of bread".' },
      count: { type: 'integer', minimum: 1, maximum: 20 },
    },
    required: ['goods', 'count'],
    additionalProperties: false,
  },
  run: ({ goods, count }, { state, idempotencyKey }) => {
    state.putAside[idempotencyKey] = { goods, count };
    return { allPutAside: Object.values(state.putAside) };
  },
});

const name = 'corner_shop';
const welcome = 'Hello, this is the corner shop. Which day would you like to come?';

/** Answers with a model. Change the prompt, and you have another agent. */
const agent = defineAgent({
  name,
  welcome,
  state: order,
  prompt:
    'You answer the phone of a corner shop. Speak one or two short sentences, no lists, no '
    + 'Markdown. Look opening hours up. Put goods aside for callers who ask for them.',
  tools: [openingHours, putAside, hangUp],
});

/**
 * Answers by fixed rules. Once you have a key, delete this, and write `export default agent`
 * instead.
 */
const standIn = defineAgent({
  name,
  welcome,
  onMessage({ text }) {
    const said = text.toLowerCase();
    const day = Object.keys(hours).find((name) => said.includes(name.toLowerCase()));
    if (day !== undefined) return `On ${day} we are ${hours[day]}.`;
    return 'I know the opening hours. Put the key of a model into .env, and I can say more.';
  },
});

export default {
  ...agent,
  /** Called once at start-up. In production a missing key is an error instead of a stand-in. */
  bind(resources) {
    const hasModel = process.env['NODE_ENV'] === 'production' || resources.openModel().isUsable();
    return hasModel ? (agent.bind?.(resources) ?? agent) : standIn;
  },
} satisfies Agent;
