import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createBakery } from '../../../src/agents/built-in/bakery.ts';
import type { JsonObject } from '../../../src/base/json.ts';
import { runTool, toolsOf } from '../model-app.ts';

const ORDER = {
  items: [
    { id: 'butter-croissant', quantity: 3 },
    { id: 'house-coffee', quantity: 2 },
  ],
  name: 'Ada',
};
/** A Tuesday. */
const BOOKING = { name: 'Ada', guests: 2, date: '2027-03-02', time: '09:30' };

describe('bakery', () => {
  it('offers its three tools and hang_up', async () => {
    assert.deepEqual(
      [...(await toolsOf(createBakery())).keys()],
      ['list_menu', 'make_order', 'book_table', 'hang_up'],
    );
  });

  describe('list_menu', () => {
    it('lists the menu, prices in cents, with what is not available today', async () => {
      const menu = (await runTool(
        await toolsOf(createBakery()),
        'list_menu',
        {},
      )) as unknown as readonly JsonObject[];
      assert.equal(menu.length, 15);
      assert.deepEqual(
        menu.filter(({ available }) => available === false).map(({ id }) => id),
        ['apple-turnover', 'hot-chocolate'],
      );
      assert.ok(menu.every(({ price }) => Number.isInteger(price)));
    });

    it('lists one category', async () => {
      const menu = (await runTool(await toolsOf(createBakery()), 'list_menu', {
        category: 'breads',
      })) as unknown as readonly JsonObject[];
      assert.deepEqual(new Set(menu.map(({ category }) => category)), new Set(['breads']));
    });

    it('names the categories to a model that asks for another', async () => {
      await assert.rejects(
        runTool(await toolsOf(createBakery()), 'list_menu', { category: 'soups' }),
        { message: /^arguments\.category must be one of "pastries", / },
      );
    });
  });

  describe('make_order', () => {
    it('adds up the order in cents', async () => {
      assert.deepEqual(await runTool(await toolsOf(createBakery()), 'make_order', ORDER), {
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

    it('counts the orders of a conversation, and of no other', async () => {
      const tools = await toolsOf(createBakery());
      const numbers: unknown[] = [];
      for (const conversation of ['c-1', 'c-1', 'c-2', 'c-1'])
        numbers.push((await runTool(tools, 'make_order', ORDER, conversation))['order_number']);
      assert.deepEqual(numbers, [1, 2, 1, 3]);
    });

    it('counts the orders of an agent, and of no other', async () => {
      for (const tools of [await toolsOf(createBakery()), await toolsOf(createBakery())])
        assert.equal((await runTool(tools, 'make_order', ORDER))['order_number'], 1);
    });

    it('refuses what is not available, and places no part of the order', async () => {
      const tools = await toolsOf(createBakery());
      await assert.rejects(
        runTool(tools, 'make_order', {
          items: [
            { id: 'house-coffee', quantity: 1 },
            { id: 'apple-turnover', quantity: 1 },
          ],
          name: 'Ada',
        }),
        { message: 'Apple Turnover is not available today' },
      );
      assert.equal((await runTool(tools, 'make_order', ORDER))['order_number'], 1);
    });

    for (const id of ['croissant', 'Butter Croissant', '', '__proto__']) {
      it(`refuses the item ${JSON.stringify(id)}, and says where the ids are`, async () => {
        await assert.rejects(
          runTool(await toolsOf(createBakery()), 'make_order', {
            items: [{ id, quantity: 1 }],
            name: 'Ada',
          }),
          { message: `there is no ${JSON.stringify(id)} on the menu; ask list_menu for the ids` },
        );
      });
    }

    for (const [what, fields, problem] of [
      ['no items', { items: [] }, 'arguments.items must be at least 1 items'],
      [
        'half a cake',
        { items: [{ id: 'house-coffee', quantity: 0.5 }] },
        'arguments.items[0].quantity must be an integer',
      ],
      [
        'minus one coffee',
        { items: [{ id: 'house-coffee', quantity: -1 }] },
        'arguments.items[0].quantity must be at least 1',
      ],
      [
        'fifty-one coffees',
        { items: [{ id: 'house-coffee', quantity: 51 }] },
        'arguments.items[0].quantity must be at most 50',
      ],
      [
        "a price of the model's own",
        { items: [{ id: 'house-coffee', quantity: 1, price: 1 }] },
        'arguments.items[0] must not have "price"',
      ],
      ['an order without a name', { name: '' }, 'arguments.name must be at least 1 characters'],
    ] as const) {
      it(`refuses ${what}`, async () => {
        await assert.rejects(
          runTool(await toolsOf(createBakery()), 'make_order', { ...ORDER, ...fields }),
          { message: problem },
        );
      });
    }
  });

  describe('book_table', () => {
    it('books a table, and counts the bookings of the conversation', async () => {
      const tools = await toolsOf(createBakery());
      assert.deepEqual(await runTool(tools, 'book_table', BOOKING), {
        booking_number: 1,
        ...BOOKING,
      });
      assert.equal((await runTool(tools, 'book_table', BOOKING))['booking_number'], 2);
      assert.equal((await runTool(tools, 'book_table', BOOKING, 'c-2'))['booking_number'], 1);
    });

    it('is closed on Mondays and on no other day', async () => {
      const tools = await toolsOf(createBakery());
      await assert.rejects(runTool(tools, 'book_table', { ...BOOKING, date: '2027-03-01' }), {
        message: 'the bakery is closed on Mondays',
      });
      for (let day = 2; day <= 7; day++)
        await runTool(tools, 'book_table', { ...BOOKING, date: `2027-03-0${day}` });
    });

    for (const time of ['07:00', '14:59']) {
      it(`takes ${time}`, async () =>
        assert.equal(
          (await runTool(await toolsOf(createBakery()), 'book_table', { ...BOOKING, time }))[
            'time'
          ],
          time,
        ));
    }
    for (const time of ['06:59', '15:00', '09:60', '9:30', '09:30:00', 'noon', '']) {
      it(`refuses ${JSON.stringify(time)} for a time`, async () => {
        await assert.rejects(
          runTool(await toolsOf(createBakery()), 'book_table', { ...BOOKING, time }),
          { message: 'time must be between 07:00 and 14:59' },
        );
      });
    }
    for (const date of [
      '2027-13-01',
      '2027-00-10',
      '2027-03-32',
      '2027-02-30',
      '2027-04-31',
      '2027-02-29',
      '02/03/2027',
      'tomorrow',
      '',
    ]) {
      it(`refuses ${JSON.stringify(date)} for a date`, async () => {
        await assert.rejects(
          runTool(await toolsOf(createBakery()), 'book_table', { ...BOOKING, date }),
          { message: 'date must be a day as YYYY-MM-DD' },
        );
      });
    }
    it('takes the twenty-ninth of February where there is one', async () => {
      assert.equal(
        (
          await runTool(await toolsOf(createBakery()), 'book_table', {
            ...BOOKING,
            date: '2028-02-29',
          })
        )['date'],
        '2028-02-29',
      );
    });
    for (const guests of [0, 9, 2.5]) {
      it(`refuses ${guests} guests`, async () => {
        await assert.rejects(
          runTool(await toolsOf(createBakery()), 'book_table', { ...BOOKING, guests }),
          { message: /^arguments\.guests must be/ },
        );
      });
    }
  });
});
