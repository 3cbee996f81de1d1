import { defineState } from '../../state/state.ts';
import { hangUp } from '../../tools/tool-hang-up.ts';
import { tool } from '../../tools/tool.ts';
import type { Agent } from '../agent.ts';
import { defineAgent } from '../define-agent.ts';
import { readData, readPrompt } from './assets.ts';

interface MenuItem {
  readonly id: string;
  readonly name: string;
  readonly category: string;
  /** In cents. */
  readonly price: number;
  readonly currency: string;
  readonly allergens: readonly string[];
  readonly available: boolean;
  readonly description: string;
}

const CATEGORIES = ['pastries', 'breads', 'cakes', 'breakfast', 'drinks'] as const;
const MONDAY = 1;

/** Sunrise Bakery: takes orders and books tables, both kept per conversation. */
export function createBakery(): Agent {
  const menu = readData<readonly MenuItem[]>('bakery-menu');
  /** How many of each, to number them. Their contents are in history. */
  const visit = defineState(() => ({ orders: 0, bookings: 0 }));

  const listMenu = tool({
    name: 'list_menu',
    repeatable: true,
    tellBrowser: 'everything',
    description:
      'The menu, or one category of it, with prices in cents and what is available today.',
    parameters: {
      type: 'object',
      properties: { category: { type: 'string', enum: CATEGORIES } },
      additionalProperties: false,
    },
    run: ({ category }) =>
      menu.filter((item) => category === undefined || item.category === category),
  });

  const makeOrder = tool({
    name: 'make_order',
    tellBrowser: 'everything',
    description: 'Places an order for pick-up. Only after the caller has confirmed the items.',
    parameters: {
      type: 'object',
      properties: {
        items: {
          type: 'array',
          minItems: 1,
          maxItems: 20,
          items: {
            type: 'object',
            properties: {
              id: { type: 'string', description: 'An id from the menu.' },
              quantity: { type: 'integer', minimum: 1, maximum: 50 },
            },
            required: ['id', 'quantity'],
            additionalProperties: false,
          },
        },
        name: { type: 'string', minLength: 1, maxLength: 80, description: 'Whose order it is.' },
      },
      required: ['items', 'name'],
      additionalProperties: false,
    },
    state: visit,
    run: ({ items, name }, { state }) => {
      const lines = items.map(({ id, quantity }) => {
        const item = menu.find((candidate) => candidate.id === id);
        if (item === undefined)
          throw new Error(
            `there is no ${JSON.stringify(id)} on the menu; ask list_menu for the ids`,
          );
        if (!item.available) throw new Error(`${item.name} is not available today`);
        return { id, name: item.name, quantity, price: item.price * quantity };
      });
      state.orders += 1;
      const total = lines.reduce((sum, line) => sum + line.price, 0);
      return { order_number: state.orders, name, items: lines, total, currency: 'USD' };
    },
  });

  const bookTable = tool({
    name: 'book_table',
    tellBrowser: 'everything',
    description: 'Books a table. Open Tuesday to Sunday, seven to three; up to eight guests.',
    parameters: {
      type: 'object',
      properties: {
        name: { type: 'string', minLength: 1, maxLength: 80 },
        guests: { type: 'integer', minimum: 1, maximum: 8 },
        date: { type: 'string', description: 'YYYY-MM-DD' },
        time: { type: 'string', description: 'HH:MM, 24-hour' },
      },
      required: ['name', 'guests', 'date', 'time'],
      additionalProperties: false,
    },
    state: visit,
    run: ({ name, guests, date, time }, { state }) => {
      const day = parseDay(date);
      if (day === undefined) throw new Error('date must be a day as YYYY-MM-DD');
      if (day.getUTCDay() === MONDAY) throw new Error('the bakery is closed on Mondays');
      if (!/^(0[7-9]|1[0-4]):[0-5]\d$/.test(time))
        throw new Error('time must be between 07:00 and 14:59');
      state.bookings += 1;
      return { booking_number: state.bookings, name, guests, date, time };
    },
  });

  return defineAgent({
    name: 'bakery',
    state: visit,
    description: 'Sunrise Bakery: the menu, orders and tables.',
    welcome: 'Good morning, this is Sunrise Bakery! What can I get for you?',
    prompt: readPrompt('bakery'),
    tools: [listMenu, makeOrder, bookTable, hangUp],
  });
}

/** Undefined if there is no such day. `Date` alone reads 30 February as 2 March. */
function parseDay(text: string): Date | undefined {
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text) && text.length === 10
    ? day
    : undefined;
}
