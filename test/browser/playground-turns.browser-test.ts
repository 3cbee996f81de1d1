// What a caller sees of turns: their data, tools, interruptions, failures, and deliveries that the
// playground repeats or drops.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { launchChromium } from './chromium.ts';
import { openBakery } from './playground-scene.ts';
import { LONG, openPlayground, openPlaygroundOf, type Playground } from './playground-stage.ts';

/** A reply of which some was heard, or nothing: that depends on timing. */
const STRUCK = /^Agent: .*~.+~ <interrupted, (?:the rest was not|nothing was) heard>$/;
const APOLOGY = 'Sorry, something went wrong. Could you say that again?';

const browser = await launchChromium();

describe('in the playground,', () => {
  describe('data', () => {
    it('is a tree that opens level by level, with the newest on top', async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.asks('Hello');
      asked.data({ order: { items: ['bread', null], total: 7.5, isPaid: false }, empty: {} });
      asked.data('plain').say('Yes.').end();
      await page.shows('data', [/^data 2: "plain"$/, /^data 1: \{ order, empty \}/]);
      assert.equal(await page.text('#data-count'), '2');
      await page.press('tab-data');
      assert.equal(
        await page.text('#data > li:last-child'),
        'data 1: { order, empty }\norder: { items, total, isPaid }\nempty: {}',
      );
      const branch = '.json-entries > details > summary';
      await page.tab.click(`#data > li:last-child ${branch}`);
      await page.tab.locator(`#data > li:last-child .json-entries ${branch}`).click();
      const leaf = '#data > li:last-child .json-entries .json-entries .json-entries';
      await page.tab.waitForSelector(leaf, { visible: true });
      assert.equal(
        await page.text('#data > li:last-child'),
        [
          'data 1: { order, empty }',
          'order: { items, total, isPaid }',
          'items: [2]',
          '0: "bread"',
          '1: null',
          'total: 7.5',
          'isPaid: false',
          'empty: {}',
        ].join('\n'),
      );
    });
  });

  describe('a tool call', () => {
    async function order(t: TestContext): Promise<Playground> {
      const page = await openPlaygroundOf(t, browser, openBakery());
      await page.shows('transcript', [/^Agent: Good morning/]);
      await page.say('Two please, for Ada');
      await page.shows('turns', ['2 Two please, for Ada: completed']);
      await page.press('tab-history');
      await page.shows('history', [/^tool: /, /^assistant: That is two/]);
      return page;
    }

    it('is a tree in the history, next to its result and the model requests', async (t) => {
      const page = await order(t);
      const [call, result, ...requests] = await page.tab.$$eval('#history .tool', (tools) =>
        tools.map((tool) => (tool as HTMLElement).innerText.trim()));
      assert.match(call ?? '', /^calls make_order \(.+\): \{ name, items \}$/);
      assert.match(
        result ?? '', /^result of .+: \{ order_number, name, items, total, currency \}$/,
      );
      const isRequest = (text: string): boolean => text.startsWith('request to scripted:model in ');
      assert.deepEqual(requests.map(isRequest), [true, true]);
      await page.tab.click('#history .tool summary');
      await page.becomes('#history .tool', /\nname: "Ada"\nitems: \[1\]$/);
    });

    it('shows its time on the bar of its turn, and in words', async (t) => {
      const { tab } = await order(t);
      const row = '#timeline > tr:last-child';
      const picture = `${row} td.picture`;
      const title = await tab.$eval(picture, (cell) => cell.getAttribute('title')) ?? '';
      const [, ms] = /^tools: make_order ([\d.]+) ms$/.exec(title) ?? [];
      assert.ok(Number(ms) < 200, title); // not counted to the end of the reply, which takes longer
      assert.equal(
        await tab.$eval(`${picture} .sr-only`, ({ textContent }) => textContent),
        title,
      );
      const [from, to, end] = await tab.$eval(row, (element) => {
        const edge = (css: string, name: 'left' | 'right'): number =>
          element.querySelector(css)?.getBoundingClientRect()[name] ?? NaN;
        return [edge('rect.tool', 'left'), edge('rect.tool', 'right'), edge('rect.end', 'right')];
      }) as [number, number, number];
      assert.ok(from <= to && to <= end, `${from} ${to} ${end}`);
    });
  });

  describe('an interruption', () => {
    it('by typing over a reply strikes out what was not heard, everywhere', async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.streams('When?', LONG);
      await page.hearSomeWords();
      await page.say('Stop!');
      await asked.aborted();

      const next = await page.nextAsked();
      const { previous_turn_interrupted, text_heard, words_heard, assistant_turn_id } =
        next.interruption ?? {};
      const heard = String(text_heard);
      assert.deepEqual(
        [previous_turn_interrupted, assistant_turn_id],
        [true, asked.event['turn_id']],
      );
      assert.ok(
        Number(words_heard) > 0 &&
          heard !== '' &&
          heard.length < LONG.length &&
          LONG.startsWith(heard),
        heard,
      );

      next.say('Sorry.').end();
      const unheard = LONG.slice(heard.length).trimStart();
      const struck = `Agent: ${heard} ~${unheard}~ <interrupted, the rest was not heard>`;
      await page.shows('transcript', ['You: When?', struck, 'You: Stop!', 'Agent: Sorry.']);
      await page.shows('turns', ['2 When?: interrupted', '3 Stop!: completed']);
      await page.shows('history', [
        'user: When?',
        `assistant: ${heard} [interrupted]`,
        'user: Stop!',
        'assistant: Sorry.',
      ]);
      const line = await page.tab.$eval('#transcript s.unheard', (element) =>
        getComputedStyle(element).textDecorationLine);
      assert.equal(line, 'line-through');
      await page.press('tab-history');
      assert.equal(await page.text('#history mark'), '[interrupted]');
    });

    for (const [way, interrupt] of [
      ['Escape', (page: Playground) => page.strike('Escape')],
      ['the Interrupt button', (page: Playground) => page.press('interrupt')],
    ] as const) {
      it(`by ${way} ends the reply at once, and the next message reports it`, async (t) => {
        const page = await openPlayground(t, browser);
        const asked = await page.streams('When?', LONG);
        await interrupt(page);
        await asked.aborted();
        await page.shows('transcript', [`Agent: ${LONG} <interrupted>`]);
        await page.shows('turns', ['2 When?: interrupted']);
        // nobody has told the server what was heard
        await page.shows('history', ['user: When?', `assistant: ${LONG} [interrupted]`]);
        await page.tab.waitForSelector('#interrupt', { hidden: true });
        assert.equal(await page.focusedId(), 'say');

        const next = await page.asks('Stop!');
        assert.equal(next.interruption?.['assistant_turn_id'], asked.event['turn_id']);
        next.say('Sorry.').end();
        await page.shows('transcript', ['You: When?', STRUCK, 'You: Stop!', 'Agent: Sorry.']);
      });
    }

    it("before the first word leaves the caller's words alone", async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.asks('When?');
      await page.shows('turns', ['2 When?: running']);
      await page.strike('Escape');
      await asked.aborted();
      await page.shows('turns', ['2 When?: interrupted']);
      await page.shows('history', ['assistant: Hi!', 'user: When?']);
      assert.deepEqual((await page.view()).transcript, ['Agent: Hi!', 'You: When?']);
    });

    it('by Escape does nothing if nobody is speaking', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      assert.equal(await page.isDisplayed('#interrupt'), false);
      await page.strike('Escape');
      assert.equal((await page.asks('Two')).interruption, undefined);
    });

    it('does not count once the reply has been heard to its end', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', LONG); // without a voice a reply is heard as soon as it is there
      assert.equal((await page.asks('Two')).interruption, undefined);
    });
  });

  describe('delivering a turn twice', () => {
    it('after its end gets the stored reply, and asks the agent only once', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      await page.press('redeliver');
      await page.shows('transcript', [
        'You: Hello',
        'Agent: Yes?',
        'good notice: Delivered twice: the stored reply was sent again, '
          + 'and the model was not asked.',
      ]);
      await page.shows('turns', ['2 Hello: completed', '3 again: Hello: replayed']);
      await page.shows('history', ['user: Hello', 'assistant: Yes?']);
      const { events } = await page.view();
      assert.equal(events.filter((line) => line === '← response.tts Yes?').length, 2);
      assert.equal(page.asked.length, 1);
    });

    it('during its reply takes over the stream, and repeats no word', async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.asks('Hello');
      asked.data({ one: 1 }).say('One ');
      await page.shows('transcript', ['You: Hello', 'Agent: One  <streaming>']);
      await page.press('redeliver');
      const notice =
        'good notice: Delivered twice: the second delivery took over the stream. '
        + 'The model was asked once.';
      await page.shows('transcript', ['You: Hello', 'Agent: One  <streaming>', notice]);
      asked.say('two.').end();
      await page.shows('transcript', ['You: Hello', 'Agent: One two.', notice]);
      await page.shows('turns', ['2 Hello: taken over', '3 again: Hello: completed']);
      await page.shows('history', ['user: Hello', 'assistant: One two.']);
      assert.deepEqual([(await page.view()).data.length, page.asked.length], [1, 1]);
    });

    it('after an interruption runs it again', async (t) => {
      const page = await openPlayground(t, browser);
      await page.streams('Hello', 'One ');
      await page.strike('Escape');
      await page.shows('turns', ['2 Hello: interrupted']);
      await page.press('redeliver');
      (await page.nextAsked()).say('Two.').end();
      await page.shows('transcript', [
        'Agent: Two.',
        'good notice: Delivered again: the turn was not complete, so it ran again.',
      ]);
      await page.shows('history', ['user: Hello', 'assistant: Two.']);
    });
  });

  describe('a failing agent', () => {
    it('is heard to apologise after what it said, and the page says why it failed', async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.streams('Hello', 'One moment');
      asked.fail('the oven is cold');
      await page.shows('turns', ['2 Hello: failed']);
      await page.shows('transcript', [
        `Agent: One moment ${APOLOGY} <failed>`,
        'bad notice: The turn failed: the oven is cold. The caller heard the apology.',
      ]);
      await page.press('filter-errors');
      await page.shows('events', [/^∑ turn failed/]);
      await page.press('filter-all');
      await page.exchange('Again', 'Yes.');
    });
  });

  describe('a forged message', () => {
    for (const [id, name] of [
      ['forge-wrong', 'Bad signature'],
      ['forge-stale', 'Stale signature'],
    ] as const) {
      it(`sent by ${id} gets a 401, which the page expects, and the talk goes on`, async (t) => {
        const page = await openPlayground(t, browser);
        await page.exchange('One', 'Yes.');
        await page.press(id);
        await page.shows('transcript', [
          'Agent: Yes.',
          `good notice: ${name}: 401 Invalid signature: refused, as it should be.`,
        ]);
        await page.press('filter-errors');
        await page.shows('events', [
          '← HTTP 401',
          '← JSON {"error":"Invalid signature"}',
          '■ failed 401 Invalid signature',
        ]);
        await page.exchange('Two', 'No.');
        await page.shows('turns', ['2 One: completed', '3 Two: completed']);
        assert.equal(page.asked.length, 2);
      });
    }
  });

  it('the page says that there is nothing to deliver or to drop yet', async (t) => {
    const page = await openPlayground(t, browser);
    await page.press('redeliver', 'drop');
    await page.shows('transcript', [
      'bad notice: There is no turn to deliver twice: say something first.',
      /^bad notice: There is no reply to drop/,
    ]);
  });

  describe('dropping a reply in the middle', () => {
    it("ends the agent's turn and keeps what was sent", async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.streams('When?', 'At ten ');
      await page.press('drop');
      await asked.aborted();
      await page.shows('transcript', [
        'Agent: At ten  <interrupted>',
        'plain notice: Dropped in the middle. '
          + 'The history keeps what was sent, marked [interrupted].',
      ]);
      await page.shows('turns', ['2 When?: interrupted']);
      await page.shows('history', ['user: When?', 'assistant: At ten [interrupted]']);
    });
  });
});
