// A talk in the playground, from the caller's side: a real Chromium, a real server, and an agent
// that says what the test says, when the test says it.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent } from '../../src/core/agents/agent.ts';
import { defineAgent } from '../../src/core/agents/define-agent.ts';
import { artefact, launchChromium } from './chromium.ts';
import {
  LONG, openPlayground, openPlaygroundOf, serveWithPlayground,
} from './playground-stage.ts';

const browser = await launchChromium();

describe('in the playground,', () => {
  describe('a conversation', () => {
    it('begins with the welcome, and shows who answers', async (t) => {
      const page = await openPlayground(t, browser);
      assert.deepEqual((await page.view()).transcript, ['Agent: Hi!']);
      assert.deepEqual(
        [await page.text('#agent'), await page.text('#model')],
        ['tested', 'no model'],
      );
      assert.match(await page.text('#conversation'), /^[0-9a-f-]{36}$/);
      assert.equal(await page.isDisplayed('#agent-choice'), false); // there is only one
    });

    // A reply that was shorter than its line stood in the middle of the page.
    it('has all words in one column, however short they are or wide the page is', async (t) => {
      const page = await openPlayground(t, browser);
      for (const reply of ['No.', LONG]) await page.exchange(`Is this ${reply.length}?`, reply);
      await page.press('tab-history');
      const edges = (css: string): Promise<number[]> =>
        page.tab.$$eval(css, (words) =>
          [...new Set(words.map((one) => Math.round(one.getBoundingClientRect().left)))]);
      for (const width of [560, 800, 1_280]) {
        await page.tab.setViewport({ width, height: 900 });
        for (const css of ['#transcript [data-text]', '#history > * > :last-child'])
          assert.equal((await edges(css)).length, 1, `${css} at ${width}`);
      }
    });

    it('begins anew when the caller chooses another agent', async (t) => {
      const welcoming = (name: string): Agent =>
        defineAgent({
          name: 'any',
          welcome: `This is ${name}.`,
          onMessage: ({ text }) => `${name} heard: ${text}`,
        });
      const agents = { sales: welcoming('Sales'), support: welcoming('Support') };
      const page = await openPlaygroundOf(t, browser, agents);
      await page.shows('history', ['assistant: This is Sales.']);
      assert.equal(await page.tab.$eval('select#agent-choice', ({ value }) => value), 'sales');
      await page.tab.select('#agent-choice', 'support');
      await page.shows('transcript', ['Agent: This is Support.']);
      await page.say('Hello');
      await page.shows('transcript', ['You: Hello', 'Agent: Support heard: Hello']);
      await page.press('tab-history');
      await page.shows('history', [
        'assistant: This is Support.', 'user: Hello', 'assistant: Support heard: Hello',
      ]);
      await page.tab.screenshot({ path: artefact('playground-several-agents') });
    });

    it('names both agents in the turn in which it is handed over', async (t) => {
      const sales = defineAgent({
        name: 'any',
        welcome: 'This is Sales.',
        onMessage: async ({ journal }) => {
          await journal.runTools([{ id: 'c', name: 'transfer', args: '{}' }], () => ({
            run: async ({ toolCallId }) => {
              await journal.handOver(toolCallId, 'billing');
              return '"handed over"';
            },
          }));
        },
      });
      const billing = defineAgent({ name: 'any', onMessage: ({ text }) => `Billing: ${text}` });
      const page = await openPlaygroundOf(t, browser, { sales, billing });
      await page.shows('transcript', ['Agent: This is Sales.']);
      await page.say('One');
      const first = ['Agent: This is Sales.', 'You: One', 'sales → billing: Billing: One'];
      await page.shows('transcript', first);
      await page.say('Two');
      await page.shows('transcript', [...first, 'You: Two', 'billing: Billing: Two']);
    });

    it('shows a reply piece by piece while it is streaming', async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.asks('Hello');
      assert.equal(asked.text, 'Hello');
      asked.say('One ');
      await page.shows('transcript', ['You: Hello', 'Agent: One  <streaming>']);
      assert.equal(await page.text('#activity'), 'The agent is replying');
      asked.say('two, ');
      await page.shows('transcript', ['You: Hello', 'Agent: One two,  <streaming>']);
      asked.say('three.').end();
      await page.shows('transcript', ['You: Hello', 'Agent: One two, three.']);
      await page.becomes('#activity', '');
    });

    it('clears the field and keeps the focus in it, and sends no blank text', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('  ');
      await page.tab.locator('#say').fill('');
      await page.tab.type('#say', 'Hello');
      await page.press('send');
      (await page.nextAsked()).say('Yes?').end();
      assert.equal(await page.tab.$eval('input#say', ({ value }) => value), '');
      assert.equal(await page.focusedId(), 'say');
      await page.shows('transcript', ['Agent: Hi!', 'You: Hello', 'Agent: Yes?']);
    });

    it('lists each turn with its figures and outcome', async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.asks('Hello');
      asked.noteUsage({ firstDeltaMs: 1.5 }).say('Yes?');
      await page.shows('turns', ['1 start of the session: completed', '2 Hello: running']);
      asked.end();
      await page.shows('turns', ['1 start of the session: completed', '2 Hello: completed']);
      await page.becomes('#timeline > tr:nth-child(2) .ms', '1.5'); // the server's figures
      const figures = (row: number): Promise<string[]> =>
        page.tab.$$eval(`#timeline > tr:nth-child(${row}) .ms`, (cells) =>
          cells.map(({ textContent }) => textContent ?? ''));
      const [, speech, end] = await figures(2);
      for (const ms of [speech, end]) assert.match(ms ?? '', /^[\d,]+(\.\d)?$/);
      assert.equal((await figures(1))[0], '–'); // no model was asked for a welcome
    });

    it('draws all turns to one scale, from the request to the end', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      await page.exchange('Two', 'Yes.');
      const rows = await page.tab.$$eval('#timeline svg', (pictures) =>
        pictures.map((svg) => {
          const { left, width } = svg.getBoundingClientRect();
          const bars = [...svg.querySelectorAll('rect:not(.grid)')];
          return { width, ends: bars.map((bar) => bar.getBoundingClientRect().right - left) };
        }));
      assert.equal(rows.length, 3);
      for (const { width, ends } of rows) {
        assert.ok(
          width > 100 && ends.every((end) => end >= -1 && end <= width + 2),
          `${width}: ${ends.join()}`,
        );
      }
    });

    const first = { inputTokens: 1_000, outputTokens: 7 };
    const second = { inputTokens: 204, outputTokens: 80, cachedTokens: 100 };
    for (const [what, requests, shown] of [
      ['summed over all requests', [first, second], ', 1,204 tokens in (100 cached), 87 out'],
      ['with a question mark for an unknown count', [{ outputTokens: 7 }], ', ? tokens in, 7 out'],
      ['only if any were reported', [{}], ''],
      ['and that its reply was cut', [{ outputTokens: 7, finishReason: 'length' }],
        ", ? tokens in, 7 out, cut at the model's limit"],
    ] as const) {
      it(`shows a turn's tokens ${what}`, async (t) => {
        const page = await openPlayground(t, browser);
        const asked = await page.asks('Hello');
        for (const usage of requests) asked.noteUsage(usage);
        asked.say('Yes?').end();
        await page.shows('turns', ['1 start of the session: completed', '2 Hello: completed']);
        const { events } = await page.view();
        assert.equal(events.at(-1)?.replace(/[\d.]+ ms/, '… ms'), `∑ turn completed … ms${shown}`);
      });
    }

    it('shows every frame, its JSON when it is opened, and the history of the model', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      const { events } = await page.view();
      const from = events.indexOf('→ message Hello');
      assert.deepEqual(events.slice(from).map((line) => line.replace(/[\d.]+ ms/, '… ms')), [
        '→ message Hello', '← HTTP 200', '← response.tts Yes?', '← response.end', '■ ended',
        '∑ turn completed … ms',
      ]);
      await page.tab.click('#events > li:last-child summary.frame');
      await page.becomes('#events > li:last-child', /durationMs: [\d.]+/);
      await page.press('tab-history');
      await page.shows('history', ['assistant: Hi!', 'user: Hello', 'assistant: Yes?']);
      assert.equal(await page.text('#history'), 'assistant\nHi!\nuser\nHello\nassistant\nYes?');
      assert.equal(await page.text('#history-count'), '3');
    });

    it('folds the words of a reply into one row, open or not, until data arrives', async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.asks('Hello');
      asked.say('One ').say('two ');
      await page.shows('events', ['← response.tts × 2 One two']);
      await page.tab.click('#events > li:last-child summary.frame');
      await page.becomes(
        '#events > li:last-child',
        /\[2\]\n0: \{ type, content, turn_id \}\n1: \{ type, content, turn_id \}$/,
      );
      asked.say('three. ');
      await page.becomes('#events > li:last-child', /\[3\]/);
      asked.data({ four: 4 }).say('Five ').say('six.').end();
      await page.shows('turns', ['2 Hello: completed']);
      const { events } = await page.view();
      const from = events.indexOf('→ message Hello');
      assert.deepEqual(events.slice(from + 2, from + 6), [
        '← response.tts × 3 One two three.',
        '← response.data {"four":4}',
        '← response.tts × 2 Five six.',
        '← response.end',
      ]);
    });

    it('shows only the frames of the last turn, or only errors, if asked to', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      await page.exchange('Two', 'Yes.');
      await page.press('filter-turn');
      const { events } = await page.view();
      assert.equal(events[0], '→ message Two');
      assert.ok(!events.includes('→ message One'));
      await page.press('filter-errors');
      await page.shows('events', []);
      await page.press('filter-all');
      assert.ok((await page.view()).events.includes('→ message One'));
      await page.press('clear-events');
      assert.deepEqual((await page.view()).events, []);
    });

    it('shows HTML as plain text', async (t) => {
      const html = '<img src=x onerror="document.title = \'pwned\'"><b>bold</b> &amp;';
      const page = await openPlayground(t, browser, { agent: { name: '<i>tested</i>' } });
      (await page.asks(html))
        .data({ [html]: html })
        .say(html)
        .end();
      await page.shows('transcript', [`You: ${html}`, `Agent: ${html}`]);
      await page.press('tab-history');
      await page.shows('history', [`user: ${html}`, `assistant: ${html}`]);
      assert.equal(await page.text('#agent'), '<i>tested</i>');
      assert.match((await page.view()).data[0] ?? '', /<b>bold<\/b>/);
      for (const row of await page.tab.$$('#events summary.frame')) {
        if (await row.isVisible()) await row.click();
      }
      const bold = ['transcript', 'data', 'history', 'events', 'timeline'].map((id) => `#${id} b`);
      assert.deepEqual(await page.tab.$$(['img', ...bold].join()), []);
      assert.equal(await page.tab.title(), 'Playground');
    });

    it('cuts a reply that would fill the page', async (t) => {
      const page = await openPlayground(t, browser);
      (await page.asks('Hello')).say('a'.repeat(15_000)).say('b'.repeat(15_000)).end();
      await page.shows('transcript', [
        'You: Hello',
        /^Agent: a{15000}b{5000}… \(30,000 characters\)$/,
      ]);
    });

    it('keeps the newest words in sight until the reader scrolls away', async (t) => {
      const page = await openPlayground(t, browser);
      const asked = await page.asks('Hello');
      asked.say('Yes.\n'.repeat(100));
      await page.tab.waitForFunction( // the end is in sight
        () => (document.querySelector('#transcript')?.scrollTop ?? 0) > 1_000,
      );
      await page.tab.$eval('#transcript', async (transcript) => {
        transcript.scrollTop = 100;
        // the page has seen it after two frames
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
      });
      asked.say('And no.').end();
      await page.shows('transcript', [/And no\.$/]);
      assert.equal(await page.tab.$eval('#transcript', ({ scrollTop }) => scrollTop), 100);
    });

    it("offers its id, copied to the clipboard or selected", async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('copy');
      // a browser without a window may refuse its clipboard
      await page.becomes('#copy', /^(?:Copied|Selected)$/);
      if ((await page.text('#copy')) === 'Copied') return;
      assert.equal(
        await page.tab.evaluate(() => String(getSelection())),
        await page.text('#conversation'),
      );
    });

    it('leaves nothing behind when a new one begins', async (t) => {
      const page = await openPlayground(t, browser);
      (await page.asks('Hello')).data({ one: 1 }).say('Yes?').end();
      await page.shows('transcript', ['Agent: Hi!', 'You: Hello', 'Agent: Yes?']);
      const conversation = await page.text('#conversation');
      await page.press('new-conversation');
      await page.becomes('#connection', 'connected');
      await page.shows('transcript', ['Agent: Hi!']);
      await page.shows('history', ['assistant: Hi!']);
      const { transcript, turns, data, history } = await page.view();
      assert.deepEqual(
        [transcript.length, turns, data, history.length],
        [1, ['1 start of the session: completed'], [], 1],
      );
      assert.notEqual(await page.text('#conversation'), conversation);
      assert.equal(await page.focusedId(), 'say');
    });
  });

  describe("the caller's fields", () => {
    it('go to the agent with every event of the next conversation', async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('caller');
      await page.tab.type('#caller-number', '+31201234567');
      await page.tab.type('#custom-metadata', '{"plan": "gold"}');
      const before = await page.asks('Before');
      assert.deepEqual(
        [before.event['from_phone_number'], before.event['custom_metadata']],
        [undefined, undefined],
      );
      before.end();
      await page.press('new-conversation');
      await page.shows('history', ['assistant: Hi!']);
      const after = await page.asks('After');
      assert.deepEqual(
        [after.event['from_phone_number'], after.event['custom_metadata']],
        ['+31201234567', { plan: 'gold' }],
      );
      after.end();
    });

    for (const text of ['{"plan": ', '[1]', 'gold']) {
      it(`are refused with the metadata ${text}, and the conversation goes on`, async (t) => {
        const page = await openPlayground(t, browser);
        await page.exchange('One', 'Yes.');
        await page.press('caller');
        await page.tab.type('#custom-metadata', text);
        await page.press('new-conversation');
        await page.shows('transcript', [
          'Agent: Hi!',
          'You: One',
          'Agent: Yes.',
          /^bad notice: Not connected: custom_metadata must be a JSON object, for example/,
        ]);
        assert.deepEqual(
          [await page.focusedId(), await page.text('#connection')],
          ['custom-metadata', 'connected'],
        );
        await page.tab.waitForSelector('#custom-metadata[aria-invalid=true]');
        await page.exchange('Two', 'No.');
      });
    }
  });

  describe('a session', () => {
    it('ends with status 200, and its conversation resumes after a reconnection', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      const conversation = await page.text('#conversation');
      await page.press('end-session');
      await page.shows('transcript', [
        "plain notice: The session's end was delivered: 200.",
        'plain notice: The connection is closed: the session ended, code 1000. '
          + 'Reconnect continues this conversation.',
      ]);
      await page.becomes('#connection', 'closed');
      await page.press('reconnect');
      await page.shows('transcript', ['Agent: Welcome back.']);
      assert.deepEqual(
        [await page.text('#connection'), await page.text('#conversation')],
        ['connected', conversation],
      );
      assert.equal(await page.focusedId(), 'say');
      await page.exchange('Two', 'No.');
      await page.shows('history', [
        'assistant: Hi!',
        'user: One',
        'assistant: Yes.',
        'assistant: Welcome back.',
        'user: Two',
        'assistant: No.',
      ]);
    });

    it('says, once it is over, that nothing can be sent, and keeps the typed words', async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('end-session');
      await page.becomes('#connection', 'closed');
      await page.say('Hello?');
      await page.shows('transcript', [
        'bad notice: Not connected: press Reconnect or New conversation.',
      ]);
      assert.equal(await page.tab.$eval('input#say', ({ value }) => value), 'Hello?');
    });

    it('ends when the agent hangs up', async (t) => {
      const page = await openPlayground(t, browser);
      (await page.asks('Bye')).hangUp('Goodbye!');
      await page.shows('transcript', [
        'You: Bye',
        'Agent: Goodbye!',
        'plain notice: The agent hangs up.',
        'plain notice: The connection is closed: the agent hung up, code 1000. '
          + 'Reconnect continues this conversation.',
      ]);
      await page.becomes('#connection', 'closed');
    });

    it('continues by itself after a restart of the server', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      const conversation = await page.text('#conversation');
      page.expectError(/ERR_CONNECTION_(?:REFUSED|RESET)/);
      await page.app.close();
      await page.shows('transcript', [
        'bad notice: The connection is lost: the server is shutting down, code 1001. '
          + 'The page connects again when the server is back.',
      ]);
      await page.becomes('#connection', 'waiting for the server');

      const restarted = defineAgent({
        name: 'restarted',
        welcome: 'Hello again!',
        onMessage: ({ text }) => `You said: ${text}`,
      });
      const { app } = await serveWithPlayground(restarted, {
        port: Number(new URL(page.origin).port),
      });
      t.after(() => app.close());
      await page.shows('transcript', [
        'plain notice: The server is back, and the conversation continues.',
        'Agent: Hello again!',
      ]);
      await page.becomes('#agent', 'restarted');
      assert.deepEqual(
        [await page.text('#connection'), await page.text('#conversation')],
        ['connected', conversation],
      );
      await page.say('Two');
      await page.shows('transcript', ['You: Two', 'Agent: You said: Two']);
    });

    it('stops waiting for the server when the caller asks to reconnect', async (t) => {
      const page = await openPlayground(t, browser);
      page.expectError(/ERR_CONNECTION_(?:REFUSED|RESET)/);
      await page.app.close();
      await page.becomes('#connection', 'waiting for the server');
      await page.press('reconnect');
      await page.becomes('#connection', 'failed');
      await page.shows('transcript', ['bad notice: The server does not answer. Is it running?']);
      await page.becomes('#warnings', /^The server does not answer at \/ready/);
    });
  });
});
