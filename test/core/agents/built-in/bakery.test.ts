import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { JsonObject } from '../../../../src/base/json.ts';
import { createBakery } from '../../../../src/core/agents/built-in/bakery.ts';
import { runTool, toolsOf } from '../model-app.ts';

const ORDER = {
  items: [
    { id: 'butter-croissant', quantity: 3 },
    { id: 'house-coffee', quantity: 2 },
  ],
  name: 'Ada',
};
/** Calls a tool of a new bakery. */
async function call(name: string, args: JsonObject): Promise<JsonObject> {
  return runTool(await toolsOf(createBakery()), name, args);
}

/** A Tuesday. */
const BOOKING = { name: 'Ada', guests: 2, date: '2027-03-02', time: '09:30' };

describe('bakery', () => {
  describe('list_menu', () => {
    it('lists the menu with prices in cents, including what is not available today', async () => {
      const menu = (await call('list_menu', {})) as unknown as readonly JsonObject[];
      assert.equal(menu.length, 15);
      assert.deepEqual(
        menu.filter(({ available }) => available === false).map(({ id }) => id),
        ['apple-turnover', 'hot-chocolate'],
      );
      assert.ok(menu.every(({ price }) => Number.isInteger(price)));
    });

    it('lists one category, and names all to a model that asks for an unknown one', async () => {
      const menu = await call('list_menu', { category: 'breads' });
      const categories = (menu as unknown as readonly JsonObject[]).map(({ category }) => category);
      assert.deepEqual(new Set(categories), new Set(['breads']));
      const message = /^arguments\.category must be one of "pastries", /;
      await assert.rejects(call('list_menu', { category: 'soups' }), { message });
    });
  });

  describe('make_order', () => {
    it('adds up the order in cents', async () => {
      assert.deepEqual(await call('make_order', ORDER), {
        order_number: 1,
        name: 'Ada',
        items: [
          { id: 'butter-croissant', name: 'Butter Croissant', quantity: 3, price: 1125 },
          { id: 'house-coffee', name: 'House Coffee', quantity: 2, price: 650 },
        ],
        total: 1775,
        currency: 'USD',
      });
    });

    it('numbers the orders of each conversation separately', async () => {
      const tools = await toolsOf(createBakery());
      const numbers: unknown[] = [];
      for (const conversation of ['c-1', 'c-1', 'c-2', 'c-1'])
        numbers.push((await runTool(tools, 'make_order', ORDER, conversation))['order_number']);
      assert.deepEqual(numbers, [1, 2, 1, 3]);
    });

    it('refuses what is not available, and places no part of the order', async () => {
      const tools = await toolsOf(createBakery());
      const items = ['house-coffee', 'apple-turnover'].map((id) => ({ id, quantity: 1 }));
      await assert.rejects(runTool(tools, 'make_order', { items, name: 'Ada' }), {
        message: 'Apple Turnover is not available today',
      });
      assert.equal((await runTool(tools, 'make_order', ORDER))['order_number'], 1);
    });

    const coffees = (quantity: number, more = {}): JsonObject =>
      ({ items: [{ id: 'house-coffee', quantity, ...more }] });
    const unknown = (id: string): readonly [JsonObject, string] =>
      [{ items: [{ id, quantity: 1 }] }, `there is no "${id}" on the menu; ask list_menu for the ids`];
    const refused: readonly (readonly [fields: JsonObject, problem: string])[] = [
      unknown('croissant'),
      unknown('__proto__'),
      [{ items: [] }, 'arguments.items must be at least 1 items'],
      [coffees(0.5), 'arguments.items[0].quantity must be an integer'],
      [coffees(0), 'arguments.items[0].quantity must be at least 1'],
      [coffees(51), 'arguments.items[0].quantity must be at most 50'],
      [coffees(1, { price: 1 }), 'arguments.items[0] must not have "price"'],
      [{ name: '' }, 'arguments.name must be at least 1 characters'],
    ];
    for (const [fields, message] of refused) {
      it(`refuses an order with ${JSON.stringify(fields)}`, async () =>
        assert.rejects(call('make_order', { ...ORDER, ...fields }), { message }));
    }
  });

  describe('book_table', () => {
    it('books a table, and numbers the bookings of each conversation', async () => {
      const tools = await toolsOf(createBakery());
      assert.deepEqual(await runTool(tools, 'book_table', BOOKING), {
        booking_number: 1,
        ...BOOKING,
      });
      assert.equal((await runTool(tools, 'book_table', BOOKING))['booking_number'], 2);
      assert.equal((await runTool(tools, 'book_table', BOOKING, 'c-2'))['booking_number'], 1);
    });

    it('refuses Mondays and no other day', async () => {
      const tools = await toolsOf(createBakery());
      await assert.rejects(runTool(tools, 'book_table', { ...BOOKING, date: '2027-03-01' }), {
        message: 'the bakery is closed on Mondays',
      });
      for (let day = 2; day <= 7; day++)
        await runTool(tools, 'book_table', { ...BOOKING, date: `2027-03-0${day}` });
    });

    for (const fields of [{ time: '07:00' }, { time: '14:59' }, { date: '2028-02-29' }]) {
      it(`accepts ${JSON.stringify(fields)}`, async () => {
        const booked = await call('book_table', { ...BOOKING, ...fields });
        assert.deepEqual(booked, { booking_number: 1, ...BOOKING, ...fields });
      });
    }

    const TIME = 'time must be between 07:00 and 14:59';
    const DATE = 'date must be a day as YYYY-MM-DD';
    for (const [field, values, message] of [
      ['time', ['06:59', '15:00', '09:60', '9:30', '09:30:00', ''], TIME],
      ['date', ['2027-13-01', '2027-00-10', '2027-02-30', '2027-02-29', '02/03/2027', ''], DATE],
      ['guests', [0, 9, 2.5], /^arguments\.guests must be/],
    ] as const) {
      for (const value of values) {
        it(`refuses ${JSON.stringify(value)} for ${field}`, async () =>
          assert.rejects(call('book_table', { ...BOOKING, [field]: value }), { message }));
      }
    }
  });
});
