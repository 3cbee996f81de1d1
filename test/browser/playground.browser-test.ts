// The playground as a caller has it: a real Chromium, a real server, and an agent that says what
// the test says, when the test says it.
//
// Pictures of a talk are kept as artefacts (artefact.ts). The README's is one of them; to take it
// anew:
//   README_PICTURE=1 node --import tsx --test --test-name-pattern='a picture' test/browser/playground.browser-test.ts

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { playScript } from '../../src/cli/talk/play-script.ts';
import { parseTalkScript } from '../../src/cli/talk/talk-script.ts';
import { RecordedTerminal } from '../cli/terminal/recorded-terminal.ts';
import { fired, within } from '../fixtures/app.ts';
import { SECRET } from '../fixtures/kernel.ts';
import { artefact } from './artefact.ts';
import { contrastsOf } from './contrast.ts';
import { FakeVoice } from './fake-voice.ts';
import { openBakery, playScene } from './playground-scene.ts';
import { openPlayground, Playground, serveWithPlayground } from './playground-stage.ts';
import { smallPng } from './small-png.ts';
import { Browser } from './webdriver.ts';

const README_PICTURE = join(import.meta.dirname, '../..', 'docs', 'playground.png');
/** Where some was heard, or nothing: that is a matter of time. */
const STRUCK = /^Agent: .*~.+~ <interrupted, (?:the rest was not|nothing was) heard>$/;
const APOLOGY = 'Sorry, something went wrong. Could you say that again?';
/** Some 14 seconds of speech. */
const LONG =
  'The night train leaves at ten past eleven from platform four, and stops in Ghent, Bruges and Ostend, where a boat waits for its ' +
  'travellers until the last of them has come on board and the lights of the harbour have gone out.';

describe('the playground', () => {
  const browser = new Browser({ size: { width: 1_280, height: 900 } });
  before(() => browser.start());
  after(() => browser.close());

  describe('a talk', () => {
    it('begins with the welcome, and says who answers', async (t) => {
      const page = await openPlayground(t, browser);
      assert.deepEqual((await page.view()).transcript, ['Agent: Hi!']);
      assert.deepEqual(
        [await browser.text('#agent'), await browser.text('#model')],
        ['tested', 'no model'],
      );
      assert.match(await browser.text('#conversation'), /^[0-9a-f-]{36}$/);
    });

    it('has no agents to choose from where there is one', async (t) => {
      await openPlayground(t, browser);
      assert.equal(await (await browser.find('#agent-choice')).isDisplayed(), false);
    });

    it('lets one choose among several agents, each with its conversation', async (t) => {
      const welcoming = (name: string): Agent =>
        defineAgent({
          name: 'any',
          welcome: `This is ${name}.`,
          onMessage: ({ text }) => `${name} heard: ${text}`,
        });
      const agents = { sales: welcoming('Sales'), support: welcoming('Support') };
      const { app, origin } = await serveWithPlayground(agents);
      t.after(() => app.close());
      const page = new Playground({ browser, app, origin });
      await browser.open(`${origin}/playground`);
      await page.shows('history', ['assistant: This is Sales.']);
      assert.equal(await browser.text('#agent-choice option:checked'), 'sales');
      await browser.click('#agent-choice option[value=support]');
      await page.shows('transcript', ['Agent: This is Support.']);
      await page.say('Hello');
      await page.shows('transcript', ['You: Hello', 'Agent: Support heard: Hello']);
      await page.press('tab-history');
      await page.shows('history', [
        'assistant: This is Support.', 'user: Hello', 'assistant: Support heard: Hello',
      ]);
      await browser.screenshot(artefact('playground-several-agents'), { isFullPage: false });
      await page.checkConsole();
      await browser.open('about:blank');
    });

    it('names the agents of a turn in which the conversation was handed over', async (t) => {
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
      const { app, origin } = await serveWithPlayground({ sales, billing });
      t.after(() => app.close());
      const page = new Playground({ browser, app, origin });
      await browser.open(`${origin}/playground`);
      await page.shows('transcript', ['Agent: This is Sales.']);
      await page.say('One');
      const first = ['Agent: This is Sales.', 'You: One', 'sales → billing: Billing: One'];
      await page.shows('transcript', first);
      await page.say('Two');
      await page.shows('transcript', [...first, 'You: Two', 'billing: Billing: Two']);
      await page.checkConsole();
      await browser.open('about:blank');
    });

    it('shows a reply piece by piece while it streams', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      const asked = await page.nextAsked();
      assert.equal(asked.text, 'Hello');
      asked.say('One ');
      await page.shows('transcript', ['You: Hello', 'Agent: One  <streaming>']);
      assert.equal(await browser.text('#activity'), 'The agent is replying');
      asked.say('two, ');
      await page.shows('transcript', ['You: Hello', 'Agent: One two,  <streaming>']);
      asked.say('three.').end();
      await page.shows('transcript', ['You: Hello', 'Agent: One two, three.']);
      await page.becomes('#activity', '');
    });

    it('clears the field and keeps the keyboard in it, with Send too', async (t) => {
      const page = await openPlayground(t, browser);
      await browser.type('#say', 'Hello');
      await page.press('send');
      assert.equal((await page.nextAsked()).text, 'Hello');
      assert.equal(await (await browser.find('#say')).property('value'), '');
      assert.equal(await page.focusedId(), 'say');
    });

    it('says nothing where nothing is in the field', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('  ');
      await (await browser.find('#say')).clear();
      await page.exchange('Hello', 'Yes?');
      assert.deepEqual((await page.view()).transcript, ['Agent: Hi!', 'You: Hello', 'Agent: Yes?']);
    });

    it('lists each turn with its figures and how it ended', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked.noteUsage({ firstDeltaMs: 1.5 }).say('Yes?');
      await page.shows('turns', ['1 start of the session: completed', '2 Hello: running']);
      asked.end();
      await page.shows('turns', ['1 start of the session: completed', '2 Hello: completed']);
      const cells = `return [...document.querySelector('#timeline').rows[arguments[0]].querySelectorAll('.ms')].map((cell) => cell.textContent)`;
      const figures = (row: number): Promise<string[]> => browser.run(cells, row);
      const [token, speech, end] = await browser.until("the server's figures", async () => {
        const found = await figures(1);
        return found[0] !== '–' && found;
      });
      assert.equal(token, '1.5');
      for (const ms of [speech, end]) assert.match(ms ?? '', /^[\d,]+(\.\d)?$/);
      assert.equal((await figures(0))[0], '–'); // no model was asked for a welcome
    });

    it('draws each turn on one scale, from the request to its end', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      await page.exchange('Two', 'Yes.');
      const rows = await browser.run<
        { width: number; ends: number[] }[]
      >(`return [...document.querySelectorAll('#timeline svg')].map((svg) => ({
        width: svg.getBoundingClientRect().width,
        ends: [...svg.querySelectorAll('rect:not(.grid)')].map((rect) => rect.getBoundingClientRect().right - svg.getBoundingClientRect().left),
      }))`);
      assert.equal(rows.length, 3);
      for (const { width, ends } of rows) {
        assert.ok(
          width > 100 && ends.every((end) => end >= -1 && end <= width + 2),
          `${width}: ${ends.join()}`,
        );
      }
    });

    it('shows the history as the model will read it', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      await page.press('tab-history');
      await page.shows('history', ['assistant: Hi!', 'user: Hello', 'assistant: Yes?']);
      assert.equal(await browser.text('#history'), 'assistant\nHi!\nuser\nHello\nassistant\nYes?');
      assert.equal(await browser.text('#history-count'), '3');
    });

    for (const [what, requests, shown] of [
      ['all requests', [{ inputTokens: 1_000, outputTokens: 7 }, { inputTokens: 204, outputTokens: 80, cachedTokens: 100 }],
        ', 1,204 tokens in (100 cached), 87 out'],
      ['a count that no vendor reported', [{ outputTokens: 7 }], ', ? tokens in, 7 out'],
      ['no tokens', [{}], ''],
    ] as const) {
      it(`counts the tokens of a turn: ${what}`, async (t) => {
        const page = await openPlayground(t, browser);
        await page.say('Hello');
        const asked = await page.nextAsked();
        for (const usage of requests) asked.noteUsage(usage);
        asked.say('Yes?').end();
        await page.shows('turns', ['1 start of the session: completed', '2 Hello: completed']);
        const { events } = await page.view();
        assert.equal(events.at(-1)?.replace(/[\d.]+ ms/, '… ms'), `∑ turn completed … ms${shown}`);
      });
    }

    it('shows every frame, and its JSON when it is opened', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      const { events } = await page.view();
      const from = events.indexOf('→ message Hello');
      assert.deepEqual(
        events.slice(from).map((line) => line.replace(/[\d.]+ ms/, '… ms')),
        [
          '→ message Hello',
          '← HTTP 200',
          '← response.tts Yes?',
          '← response.end',
          '■ ended',
          '∑ turn completed … ms',
        ],
      );
      await browser.click('#events > li:last-child summary.frame');
      await page.becomes('#events > li:last-child', /durationMs: [\d.]+/);
    });

    it('folds the words of one reply into one row, until something else comes', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked.say('One ').say('two ').say('three. ').data({ four: 4 }).say('Five ').say('six.').end();
      await page.shows('turns', ['2 Hello: completed']);
      const { events } = await page.view();
      const from = events.indexOf('→ message Hello');
      assert.deepEqual(events.slice(from + 2, from + 6), [
        '← response.tts × 3 One two three.',
        '← response.data {"four":4}',
        '← response.tts × 2 Five six.',
        '← response.end',
      ]);
      await browser.click('#events > li:nth-last-child(4) summary.frame');
      await page.becomes(
        '#events > li:nth-last-child(4)',
        /\[2\]\n0: \{ type, content, turn_id \}\n1: \{ type, content, turn_id \}$/,
      );
    });

    it('opens the row of a reply that still streams, and goes on with it', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked.say('One ').say('two ');
      await page.shows('events', ['← response.tts × 2 One two']);
      await browser.click('#events > li:last-child summary.frame');
      await page.becomes('#events > li:last-child', /\[2\]/);
      asked.say('three.');
      await page.becomes('#events > li:last-child', /\[3\]/);
      asked.end();
      await page.shows('turns', ['2 Hello: completed']);
    });

    it('lets through the frames of this turn, or those with errors', async (t) => {
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

    it('shows HTML as the text that it is', async (t) => {
      const html = '<img src=x onerror="document.title = \'pwned\'"><b>bold</b> &amp;';
      const page = await openPlayground(t, browser, { agent: { name: '<i>tested</i>' } });
      await page.say(html);
      (await page.nextAsked())
        .data({ [html]: html })
        .say(html)
        .end();
      await page.shows('transcript', [`You: ${html}`, `Agent: ${html}`]);
      await page.press('tab-history');
      await page.shows('history', [`user: ${html}`, `assistant: ${html}`]);
      assert.equal(await browser.text('#agent'), '<i>tested</i>');
      assert.match((await page.view()).data[0] ?? '', /<b>bold<\/b>/);
      for (const row of await browser.findAll('#events summary.frame')) {
        if (await row.isDisplayed()) await row.click();
      }
      const made = `return document.querySelectorAll('img, #transcript b, #data b, #history b, #events b, #timeline b').length`;
      assert.equal(await browser.run(made), 0);
      assert.equal(await browser.title(), 'Playground');
    });

    it('cuts a reply that would fill the page', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      (await page.nextAsked()).say('a'.repeat(15_000)).say('b'.repeat(15_000)).end();
      await page.shows('transcript', [
        'You: Hello',
        /^Agent: a{15000}b{5000}… \(30,000 characters\)$/,
      ]);
    });

    it('keeps the newest words in sight, until the reader scrolls away', async (t) => {
      const page = await openPlayground(t, browser);
      const top = (): Promise<number> =>
        browser.run(`return document.querySelector('#transcript').scrollTop`);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked.say('Yes.\n'.repeat(100));
      await browser.until('the end is in sight', async () => (await top()) > 1_000);
      await browser.run(`document.querySelector('#transcript').scrollTop = 100`);
      await browser.runAsync(
        'await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))',
      ); // the page has seen it
      asked.say('And no.').end();
      await page.shows('transcript', [/And no\.$/]);
      assert.equal(await top(), 100);
    });

    it("hands out the conversation's id, for the clipboard or selected", async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('copy');
      // a browser without a window may refuse its clipboard
      await page.becomes('#copy', /^(?:Copied|Selected)$/);
      if ((await browser.text('#copy')) === 'Copied') return;
      assert.equal(
        await browser.run('return String(getSelection())'),
        await browser.text('#conversation'),
      );
    });

    it('has nothing left of it in a new conversation', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      (await page.nextAsked()).data({ one: 1 }).say('Yes?').end();
      await page.shows('transcript', ['Agent: Hi!', 'You: Hello', 'Agent: Yes?']);
      const conversation = await browser.text('#conversation');
      await page.press('new-conversation');
      await page.becomes('#connection', 'connected');
      await page.shows('transcript', ['Agent: Hi!']);
      await page.shows('history', ['assistant: Hi!']);
      const { transcript, turns, data, history } = await page.view();
      assert.deepEqual(
        [transcript.length, turns, data, history.length],
        [1, ['1 start of the session: completed'], [], 1],
      );
      assert.notEqual(await browser.text('#conversation'), conversation);
      assert.equal(await page.focusedId(), 'say');
    });
  });

  describe("the caller's fields", () => {
    it('go to the agent with every event of the next conversation', async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('caller');
      await browser.type('#caller-number', '+31201234567');
      await browser.type('#custom-metadata', '{"plan": "gold"}');
      await page.say('Before');
      const before = await page.nextAsked();
      assert.deepEqual(
        [before.event['from_phone_number'], before.event['custom_metadata']],
        [undefined, undefined],
      );
      before.end();
      await page.press('new-conversation');
      await page.shows('history', ['assistant: Hi!']);
      await page.say('After');
      const after = await page.nextAsked();
      assert.deepEqual(
        [after.event['from_phone_number'], after.event['custom_metadata']],
        ['+31201234567', { plan: 'gold' }],
      );
      after.end();
    });

    for (const text of ['{"plan": ', '[1]', 'gold']) {
      it(`are refused as ${text}, and the talk stays as it was`, async (t) => {
        const page = await openPlayground(t, browser);
        await page.exchange('One', 'Yes.');
        await page.press('caller');
        await browser.type('#custom-metadata', text);
        await page.press('new-conversation');
        await page.shows('transcript', [
          'Agent: Hi!',
          'You: One',
          'Agent: Yes.',
          /^bad notice: Not connected: custom_metadata must be a JSON object, for example/,
        ]);
        assert.deepEqual(
          [await page.focusedId(), await browser.text('#connection')],
          ['custom-metadata', 'connected'],
        );
        assert.equal(
          await (await browser.find('#custom-metadata')).attribute('aria-invalid'),
          'true',
        );
        await page.exchange('Two', 'No.');
      });
    }
  });

  describe('Export as script', () => {
    /** Deterministic, and with all that a script can expect. */
    const shop = defineAgent({
      name: 'shop',
      welcome: 'Welcome!  What can I\nget you?',
      async *onMessage({ text, signal }, reply) {
        if (text === 'A story') {
          for (const word of LONG.split(' ')) yield `${word} `;
          await fired(signal);
        } else if (text === 'Bread') {
          void reply.data({ order: ['bread'], note: 'a  b' });
          yield '/Bread/ # 2  # ok';
        } else yield `You said: ${text}`;
      },
    });

    /** What the page hands to the browser to be saved. */
    async function exported(page: Playground): Promise<string> {
      await browser.run(`
        const { createObjectURL } = URL;
        URL.createObjectURL = (blob) => createObjectURL.call(URL, globalThis.exported = blob);
      `);
      await page.press('export');
      await page.shows('transcript', [
        'plain notice: Saved as talk.txt. To play it: talk --script talk.txt',
      ]);
      return browser.runAsync('return globalThis.exported.text()');
    }

    async function talkToShop(t: TestContext, agent: Agent = shop): Promise<Playground> {
      const { app, origin } = await serveWithPlayground(agent);
      t.after(async () => {
        await browser.open('about:blank');
        await app.close();
      });
      const page = new Playground({ browser, app, origin });
      await browser.open(`${origin}/playground`);
      await page.becomes('#connection', 'connected');
      return page;
    }

    it('is a file that talk --script plays to the same agent without a failure', async (t) => {
      const page = await talkToShop(t);
      await page.say('Hello   there #1');
      await page.shows('transcript', ['Agent: You said: Hello   there #1']);
      await page.say('Bread');
      await page.shows('turns', ['3 Bread: completed']);
      await page.say('A story');
      await page.shows('transcript', [/^Agent: The night train .* <streaming>$/]);
      await page.hearSomeWords();
      await page.say('Stop');
      await page.shows('turns', ['5 Stop: completed']);

      const script = await exported(page);
      assert.deepEqual(script.replace(/after \d+ words?/, 'after N words').split('\n'), [
        '# A talk with the agent shop, exported from the playground.',
        '',
        'expect Welcome! What can I get you?',
        '',
        'say Hello there #1',
        'expect You said: Hello there #1',
        '',
        'say Bread',
        'expect /Bread/ # 2 # ok',
        'expect-data {"order":["bread"],"note":"a b"}',
        '',
        'say A story',
        'interrupt after N words',
        '',
        'say Stop',
        'expect You said: Stop',
        '',
      ]);
      const terminal = new RecordedTerminal();
      t.after(() => terminal.clear());
      const target = { webhookUrl: `${page.origin}/api/agent`, secret: SECRET };
      assert.equal(
        await playScript(parseTalkScript(script, 'talk.txt'), target, 'played', 10_000, terminal),
        0,
        terminal.out,
      );
    });

    it('expects a hang-up', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Bye');
      (await page.nextAsked()).hangUp('Goodbye!');
      await page.becomes('#connection', 'closed');
      assert.match(await exported(page), /\nsay Bye\nexpect Goodbye!\nexpect-hangup\n$/);
    });

    it('has what a model said in comments: it is worded anew each time', async (t) => {
      const ready = JSON.stringify({ ready: true, agent: 'tested', model: 'test:model' });
      const page = await openPlayground(t, browser, {
        script: `const { fetch } = globalThis; globalThis.fetch = (url, ...rest) =>
          url === '/ready' ? Promise.resolve(new Response(${JSON.stringify(ready)})) : fetch(url, ...rest);`,
      });
      await page.exchange('Hello', 'Yes?');
      const script = await exported(page);
      assert.match(script, /\n# expect Hi!\n\nsay Hello\n# expect Yes\?\n$/);
      assert.equal(parseTalkScript(script, 'talk.txt').length, 1);
    });

    it("leaves a failed turn's apology out, and begins anew with a conversation", async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Fail');
      (await page.nextAsked()).fail('the oven is cold');
      await page.shows('transcript', [/^bad notice/]);
      assert.match(await exported(page), /\nsay Fail\n# this turn failed\n$/);
      await page.press('new-conversation');
      await page.shows('history', ['assistant: Hi!']);
      assert.doesNotMatch(await exported(page), /Fail/);
    });
  });

  describe('data', () => {
    it('is a tree that opens level by level, the newest on top', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked.data({ order: { items: ['bread', null], total: 7.5, isPaid: false }, empty: {} });
      asked.data('plain').say('Yes.').end();
      await page.shows('data', [/^data 2: "plain"$/, /^data 1: \{ order, empty \}/]);
      assert.equal(await browser.text('#data-count'), '2');
      await page.press('tab-data');
      assert.equal(
        await browser.text('#data > li:last-child'),
        'data 1: { order, empty }\norder: { items, total, isPaid }\nempty: {}',
      );
      const branch = '.json-entries > details > summary';
      await browser.click(`#data > li:last-child ${branch}`);
      await (await browser.appears(`#data > li:last-child .json-entries ${branch}`)).click();
      await browser.appears('#data > li:last-child .json-entries .json-entries .json-entries');
      assert.equal(
        await browser.text('#data > li:last-child'),
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
    async function order(t: TestContext): Promise<void> {
      const bakery = openBakery();
      const { app, origin } = await serveWithPlayground(bakery.agent);
      t.after(async () => {
        await browser.open('about:blank');
        await app.close();
      });
      await browser.open(`${origin}/playground`);
      const page = new Playground({ browser, app, origin });
      await page.shows('transcript', [/^Agent: Good morning/]);
      await page.say('Two please, for Ada');
      await page.shows('turns', ['2 Two please, for Ada: completed']);
      await page.press('tab-history');
      await page.shows('history', [/^tool: /, /^assistant: That is two/]);
    }

    it('is a tree in the history, and so is its result', async (t) => {
      await order(t);
      const [call, result] = await browser.findAll('#history .tool');
      assert.match((await call?.text()) ?? '', /^calls make_order \(.+\): \{ name, items \}$/);
      assert.match(
        (await result?.text()) ?? '',
        /^result of .+: \{ order_number, name, items, total, currency \}$/,
      );
      await browser.click('#history .tool summary');
      await browser.until('the tree is open', async () =>
        /\nname: "Ada"\nitems: \[1\]$/.test((await call?.text()) ?? ''),
      );
    });

    it('has its time on the bar of its turn, and in words', async (t) => {
      await order(t);
      const row = '#timeline > tr:last-child';
      const title = (await (await browser.find(`${row} td.picture`)).attribute('title')) ?? '';
      const [, ms] = /^tools: make_order ([\d.]+) ms$/.exec(title) ?? [];
      assert.ok(Number(ms) < 200, title); // not until the end of the reply, which takes longer
      assert.equal(
        await browser.run(`return document.querySelector('${row} .picture .sr-only').textContent`),
        title,
      );
      const [from, to, end] = await browser.run<number[]>(`
        const { left, right } = document.querySelector('${row} rect.tool').getBoundingClientRect();
        return [left, right, document.querySelector('${row} rect.end').getBoundingClientRect().right];
      `);
      assert.ok((from ?? 0) <= (to ?? 0) && (to ?? 0) <= (end ?? 0), `${from} ${to} ${end}`);
    });
  });

  describe('an interruption', () => {
    it('by typing over a reply strikes what was not heard, everywhere', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('When?');
      const asked = await page.nextAsked();
      asked.say(LONG);
      await page.shows('transcript', ['You: When?', `Agent: ${LONG} <streaming>`]);
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
      const struck = `Agent: ${heard} ~${LONG.slice(heard.length).trimStart()}~ <interrupted, the rest was not heard>`;
      await page.shows('transcript', ['You: When?', struck, 'You: Stop!', 'Agent: Sorry.']);
      await page.shows('turns', ['2 When?: interrupted', '3 Stop!: completed']);
      await page.shows('history', [
        'user: When?',
        `assistant: ${heard} [interrupted]`,
        'user: Stop!',
        'assistant: Sorry.',
      ]);
      const line = await (
        await browser.find('#transcript s.unheard')
      ).style('text-decoration-line');
      assert.equal(line, 'line-through');
      await page.press('tab-history');
      assert.equal(await browser.text('#history mark'), '[interrupted]');
    });

    for (const [way, interrupt] of [
      ['Escape', () => browser.keys('Escape')],
      ['the Interrupt button', () => browser.click('#interrupt')],
    ] as const) {
      it(`by ${way} ends the reply at once, and the next message tells of it`, async (t) => {
        const page = await openPlayground(t, browser);
        await page.say('When?');
        const asked = await page.nextAsked();
        asked.say(LONG);
        await page.shows('transcript', [`Agent: ${LONG} <streaming>`]);
        await interrupt();
        await asked.aborted();
        await page.shows('transcript', [`Agent: ${LONG} <interrupted>`]);
        await page.shows('turns', ['2 When?: interrupted']);
        // nobody has told the server what was heard
        await page.shows('history', ['user: When?', `assistant: ${LONG} [interrupted]`]);
        await browser.until(
          'the button is gone',
          async () => !(await (await browser.find('#interrupt')).isDisplayed()),
        );
        assert.equal(await page.focusedId(), 'say');

        await page.say('Stop!');
        const next = await page.nextAsked();
        assert.equal(next.interruption?.['assistant_turn_id'], asked.event['turn_id']);
        next.say('Sorry.').end();
        await page.shows('transcript', ['You: When?', STRUCK, 'You: Stop!', 'Agent: Sorry.']);
      });
    }

    it("before the first word leaves the caller's words alone", async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('When?');
      const asked = await page.nextAsked();
      await page.shows('turns', ['2 When?: running']);
      await browser.keys('Escape');
      await asked.aborted();
      await page.shows('turns', ['2 When?: interrupted']);
      await page.shows('history', ['assistant: Hi!', 'user: When?']);
      assert.deepEqual((await page.view()).transcript, ['Agent: Hi!', 'You: When?']);
    });

    it('by Escape means nothing where nobody speaks', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      assert.equal(await (await browser.find('#interrupt')).isDisplayed(), false);
      await browser.keys('Escape');
      await page.say('Two');
      assert.equal((await page.nextAsked()).interruption, undefined);
    });

    it('is none when the reply was heard to its end', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', LONG); // without a voice a reply is heard as soon as it is there
      await page.say('Two');
      assert.equal((await page.nextAsked()).interruption, undefined);
    });
  });

  describe('Deliver twice', () => {
    it('after the end gets the stored reply, and the agent is asked once', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      await page.press('redeliver');
      await page.shows('transcript', [
        'You: Hello',
        'Agent: Yes?',
        'good notice: Delivered twice: the stored reply was sent again, and the model was not asked.',
      ]);
      await page.shows('turns', ['2 Hello: completed', '3 again: Hello: replayed']);
      await page.shows('history', ['user: Hello', 'assistant: Yes?']);
      const { events } = await page.view();
      assert.equal(events.filter((line) => line === '← response.tts Yes?').length, 2);
      assert.equal(page.asked.length, 1);
    });

    it('while a reply streams takes it over, and no word comes twice', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked.data({ one: 1 }).say('One ');
      await page.shows('transcript', ['You: Hello', 'Agent: One  <streaming>']);
      await page.press('redeliver');
      const notice =
        'good notice: Delivered twice: the second delivery took over the stream. The model was asked once.';
      await page.shows('transcript', ['You: Hello', 'Agent: One  <streaming>', notice]);
      asked.say('two.').end();
      await page.shows('transcript', ['You: Hello', 'Agent: One two.', notice]);
      await page.shows('turns', ['2 Hello: taken over', '3 again: Hello: completed']);
      await page.shows('history', ['user: Hello', 'assistant: One two.']);
      assert.deepEqual([(await page.view()).data.length, page.asked.length], [1, 1]);
    });

    it('after an interruption runs the turn anew', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      (await page.nextAsked()).say('One ');
      await page.shows('transcript', ['Agent: One  <streaming>']);
      await browser.keys('Escape');
      await page.shows('turns', ['2 Hello: interrupted']);
      await page.press('redeliver');
      (await page.nextAsked()).say('Two.').end();
      await page.shows('transcript', [
        'Agent: Two.',
        'good notice: Delivered again: the turn was not complete, so it ran again.',
      ]);
      await page.shows('history', ['user: Hello', 'assistant: Two.']);
    });

    it('says that there is nothing to deliver yet', async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('redeliver');
      await page.shows('transcript', [
        'bad notice: There is no turn to deliver twice: say something first.',
      ]);
    });
  });

  describe('a failing agent', () => {
    it('is heard to apologise, and the page says why its turn failed', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      (await page.nextAsked()).fail('the oven is cold');
      await page.shows('turns', ['2 Hello: failed']);
      await page.shows('transcript', [
        `Agent: ${APOLOGY} <failed>`,
        'bad notice: The turn failed: the oven is cold. The caller heard the apology.',
      ]);
      await page.press('filter-errors');
      await page.shows('events', [/^∑ turn failed/]);
    });

    it('keeps what it said before', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked.say('One moment');
      await page.shows('transcript', ['Agent: One moment <streaming>']);
      asked.fail('the oven is cold');
      await page.shows('transcript', [
        `Agent: One moment ${APOLOGY} <failed>`,
        /^bad notice: The turn failed/,
      ]);
      await page.exchange('Again', 'Yes.');
    });
  });

  describe('a forged message', () => {
    for (const [id, name] of [
      ['forge-wrong', 'Bad signature'],
      ['forge-stale', 'Stale signature'],
    ] as const) {
      it(`of ${id} is refused with 401, which is told as right`, async (t) => {
        const page = await openPlayground(t, browser);
        await page.press(id);
        await page.shows('transcript', [
          `good notice: ${name}: 401 Invalid signature: refused, as it should be.`,
        ]);
        await page.press('filter-errors');
        await page.shows('events', [
          '← HTTP 401',
          '← JSON {"error":"Invalid signature"}',
          '■ failed 401 Invalid signature',
        ]);
        const { turns, history } = await page.view();
        assert.deepEqual(
          [page.asked.length, turns, history],
          [0, ['1 start of the session: completed'], ['assistant: Hi!']],
        );
      });
    }

    it('leaves a talk as it was', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      await page.press('forge-wrong', 'forge-stale');
      await page.shows('transcript', [
        'You: One',
        'Agent: Yes.',
        /^good notice: Bad/,
        /^good notice: Stale/,
      ]);
      await page.exchange('Two', 'No.');
      await page.shows('turns', ['2 One: completed', '3 Two: completed']);
      assert.equal(page.asked.length, 2);
    });
  });

  describe('Drop in the middle', () => {
    it("ends the agent's turn and keeps what was sent", async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('When?');
      const asked = await page.nextAsked();
      asked.say('At ten ');
      await page.shows('transcript', ['Agent: At ten  <streaming>']);
      await page.press('drop');
      await asked.aborted();
      await page.shows('transcript', [
        'Agent: At ten  <interrupted>',
        'plain notice: Dropped in the middle. The history keeps what was sent, marked [interrupted].',
      ]);
      await page.shows('turns', ['2 When?: interrupted']);
      await page.shows('history', ['user: When?', 'assistant: At ten [interrupted]']);
    });

    it('says that nothing streams', async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('drop');
      await page.shows('transcript', [/^bad notice: There is no reply to drop/]);
    });
  });

  describe('a session', () => {
    it('ends with 200, and a reconnection goes on with the conversation', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      const conversation = await browser.text('#conversation');
      await page.press('end-session');
      await page.shows('transcript', [
        "plain notice: The session's end was delivered: 200.",
        'plain notice: The connection is closed: the session ended, code 1000. Reconnect continues this conversation.',
      ]);
      await page.becomes('#connection', 'closed');
      await page.press('reconnect');
      await page.shows('transcript', ['Agent: Welcome back.']);
      assert.deepEqual(
        [await browser.text('#connection'), await browser.text('#conversation')],
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

    it('says that nothing can be sent when it is over, and keeps the words', async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('end-session');
      await page.becomes('#connection', 'closed');
      await page.say('Hello?');
      await page.shows('transcript', [
        'bad notice: Not connected: press Reconnect or New conversation.',
      ]);
      assert.equal(await (await browser.find('#say')).property('value'), 'Hello?');
    });

    it('is over when the agent hangs up', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Bye');
      (await page.nextAsked()).hangUp('Goodbye!');
      await page.shows('transcript', [
        'You: Bye',
        'Agent: Goodbye!',
        'plain notice: The agent hangs up.',
        'plain notice: The connection is closed: the agent hung up, code 1000. Reconnect continues this conversation.',
      ]);
      await page.becomes('#connection', 'closed');
    });

    it('ends a reply that streams', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('When?');
      const asked = await page.nextAsked();
      asked.say('At ten ');
      await page.shows('transcript', ['Agent: At ten  <streaming>']);
      await page.press('end-session');
      await asked.aborted();
      await page.becomes('#connection', 'closed');
      await page.shows('turns', ['2 When?: interrupted']);
      assert.match((await page.view()).transcript[2] ?? '', /^Agent: .* <interrupted/);
    });

    it('goes on by itself when the server was restarted', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      const conversation = await browser.text('#conversation');
      page.expectError(/ERR_CONNECTION_(?:REFUSED|RESET)/);
      await page.app.close();
      await page.shows('transcript', [
        'bad notice: The connection is lost: the server is shutting down, code 1001. The page connects again when the server is back.',
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
        [await browser.text('#connection'), await browser.text('#conversation')],
        ['connected', conversation],
      );
      await page.say('Two');
      await page.shows('transcript', ['You: Two', 'Agent: You said: Two']);
      await browser.open('about:blank');
    });

    it('waits no longer for the server when the caller asks for another connection', async (t) => {
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

  describe('the keyboard', () => {
    /** The element that has it, by its id or class. */
    const focused = (): Promise<string> =>
      browser.run(
        'const { id, className, tagName } = document.activeElement; return id || className || tagName',
      );

    /** Strikes until that element has the keyboard; what had it on the way. */
    async function walk(key: 'Tab' | 'Shift+Tab', last: string): Promise<string[]> {
      const stops: string[] = [];
      while (stops.at(-1) !== last) {
        assert.ok(stops.length < 50, `the keyboard does not get to ${last}: ${stops.join()}`);
        await browser.keys(key);
        stops.push(await focused());
      }
      return stops;
    }

    it('reaches everything, in the order of the page', async (t) => {
      await openPlayground(t, browser);
      assert.equal(await focused(), 'say'); // to speak at once
      const order = [
        'skip',
        'wire-choice',
        'copy',
        'reconnect',
        'new-conversation',
        'caller',
        'export',
        'transcript',
        'say',
        'microphone',
        'send',
        'redeliver',
        'drop',
        'forge-wrong',
        'forge-stale',
        'end-session',
        'tab-events',
        'filter-all',
        'clear-events',
        'events',
      ];
      assert.deepEqual(
        await walk('Shift+Tab', 'skip'),
        order.slice(0, order.indexOf('say')).reverse(),
      );
      assert.deepEqual(await walk('Tab', 'events'), order.slice(1));
      await browser.keys('Tab');
      // out of the page; a browser without a window may begin anew at once
      assert.match(await focused(), /^(?:BODY|skip)$/);
    });

    it('is seen wherever it is', async (t) => {
      await openPlayground(t, browser);
      await browser.run(`
        globalThis.seen = [];
        document.addEventListener('focusin', ({ target }) => {
          const { outlineStyle, outlineWidth } = getComputedStyle(target);
          seen.push([target.id, outlineStyle, outlineWidth].join(' '));
        });
      `);
      await walk('Shift+Tab', 'skip');
      const stops = await walk('Tab', 'events');
      const seen = await browser.run<string[]>('return seen');
      assert.ok(seen.length > stops.length);
      assert.deepEqual(
        seen.filter((line) => !line.endsWith(' solid 2px')),
        [],
      );
    });

    it('skips to the field from the first stop', async (t) => {
      await openPlayground(t, browser);
      await walk('Shift+Tab', 'skip');
      const link = await browser.find('.skip');
      assert.equal(await link.isDisplayed(), true);
      await browser.keys('Enter');
      assert.equal(await focused(), 'say');
    });

    it('holds a talk: says, interrupts with Escape from anywhere, and says again', async (t) => {
      const page = await openPlayground(t, browser);
      await browser.keys('H', 'i', 'Enter');
      const asked = await page.nextAsked();
      assert.equal(asked.text, 'Hi');
      asked.say(LONG);
      await page.shows('transcript', [`Agent: ${LONG} <streaming>`]);
      await browser.keys('Tab', 'Tab', 'Escape');
      await asked.aborted();
      assert.equal(await focused(), 'send');
      await browser.keys('Shift+Tab', 'Shift+Tab', 'N', 'o', 'Enter');
      assert.equal((await page.nextAsked()).text, 'No');
    });

    it('interrupts with the button too, and goes back to the field', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('When?');
      const asked = await page.nextAsked();
      asked.say(LONG);
      await page.shows('transcript', [`Agent: ${LONG} <streaming>`]);
      await browser.keys('Shift+Tab');
      assert.equal(await focused(), 'interrupt');
      await browser.keys('Space');
      await asked.aborted();
      assert.equal(await focused(), 'say');
    });

    it('provokes with Space, and stays at the button', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      await browser.keys('Tab', 'Tab', 'Tab');
      assert.equal(await focused(), 'redeliver');
      await browser.keys('Space');
      await page.shows('transcript', [/^good notice: Delivered twice/]);
      assert.equal(await focused(), 'redeliver');
      await browser.keys('Tab', 'Tab', 'Space');
      await page.shows('transcript', [/^good notice: Bad signature/]);
      assert.equal(await focused(), 'forge-wrong');
      await browser.keys('Tab', 'Tab', 'Space');
      await page.becomes('#connection', 'closed');
      assert.equal(await focused(), 'end-session');
    });

    it('chooses a tab with the arrow keys, which is one stop', async (t) => {
      await openPlayground(t, browser);
      await browser.run(`document.querySelector('#end-session').focus()`);
      await browser.keys('Tab');
      const chosen: unknown[] = [];
      for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowLeft', 'Home', 'End']) {
        await browser.keys(key);
        chosen.push(
          await browser.run(`return [
          document.activeElement.id,
          [...document.querySelectorAll('[role="tab"][aria-selected="true"]')].map(({ id }) => id).join(),
          [...document.querySelectorAll('[role="tabpanel"]')].filter((panel) => panel.checkVisibility()).map(({ id }) => id).join(),
        ]`),
        );
      }
      const names = ['data', 'history', 'events', 'history', 'events', 'history'];
      assert.deepEqual(
        chosen,
        names.map((name) => [`tab-${name}`, `tab-${name}`, `panel-${name}`]),
      );
      await browser.keys('Tab');
      assert.equal(await focused(), 'panel-history');
    });

    it('goes through the frames with the arrow keys, and opens one with Enter', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      await walk('Tab', 'events');
      await browser.keys('ArrowUp', 'ArrowUp', 'ArrowDown');
      assert.match(await (await browser.focused()).text(), /turn completed/);
      await browser.keys('Enter');
      await page.becomes('#events > li:last-child', /durationMs: [\d.]+/);
    });
  });

  describe('a screen reader', () => {
    it('has a name for everything that can be used', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      (await page.nextAsked()).data({ order: [1] }).say(LONG); // with the Interrupt button
      await page.shows('transcript', [`Agent: ${LONG} <streaming>`]);
      const usable = [
        'button',
        'textbox',
        'tab',
        'radio',
        'checkbox',
        'link',
        'DisclosureTriangle',
        'tablist',
        'tabpanel',
        'region',
        'log',
        'table',
        'columnheader',
      ];
      const seen = new Set<string>();
      const unnamed: string[] = [];
      for (const tab of ['tab-history', 'tab-data', 'tab-events']) {
        await page.press(tab);
        for (const { role, name } of await browser.accessibilityTree()) {
          if (!usable.includes(role)) continue;
          seen.add(role);
          if (name.trim() === '') unnamed.push(role);
        }
      }
      assert.deepEqual(unnamed, []);
      assert.deepEqual(
        usable.filter((role) => !seen.has(role)),
        [],
      );
    });

    it('is told of the whole reply, once, and not of each piece', async (t) => {
      const page = await openPlayground(t, browser);
      await browser.run(`
        globalThis.told = [];
        for (const region of document.querySelectorAll('[aria-live], [role="status"], [role="alert"], [role="log"]')) {
          if (region.getAttribute('aria-live') === 'off') continue;
          new MutationObserver(() => told.push(region.lastElementChild?.textContent ?? region.textContent))
            .observe(region, { childList: true, subtree: true, characterData: true });
        }
      `);
      await page.say('Hello');
      const asked = await page.nextAsked();
      for (const [piece, soFar] of [
        ['One ', 'One '],
        ['two, ', 'One two, '],
        ['three.', 'One two, three.'],
      ] as const) {
        asked.say(piece);
        await page.shows('transcript', [`Agent: ${soFar} <streaming>`]);
      }
      assert.deepEqual(await browser.run('return told'), []);
      asked.end();
      await page.shows('announced', ['Agent: One two, three.']);
      assert.deepEqual(await browser.run('return told'), ['Agent: One two, three.']);
    });

    it('is told of notices and interruptions', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      (await page.nextAsked()).say('One ');
      await page.shows('transcript', ['Agent: One  <streaming>']);
      await browser.keys('Escape');
      await page.shows('announced', ['Agent, interrupted: One']);
      await page.press('forge-wrong');
      await page.shows('announced', ['Agent, interrupted: One', /^Bad signature: 401/]);
      await page.say('Two');
      (await page.nextAsked()).end();
      await page.shows('transcript', [
        'Agent: ~One ~ <interrupted, nothing was heard>',
        /^good/,
        'You: Two',
        'Agent:  <said nothing>',
      ]);
      assert.match(await browser.text('#transcript s.unheard'), /\(not heard:\)/);
    });

    it("is told of the server's warnings, as a list", async (t) => {
      const warnings = ['OPENAI_API_KEY is not set', 'the fall-back has no key'];
      const ready = JSON.stringify({ ready: true, agent: 'tested', model: null, warnings });
      await openPlayground(t, browser, {
        script: `const { fetch } = globalThis; globalThis.fetch = (url, ...rest) =>
          url === '/ready' ? Promise.resolve(new Response(${JSON.stringify(ready)})) : fetch(url, ...rest);`,
      });
      await browser.appears('#warnings > li');
      const tree = await browser.accessibilityTree();
      const list = tree.findIndex(
        (node, index) => node.role === 'list' && tree[index - 1]?.role === 'status',
      );
      assert.notEqual(list, -1, 'a list in a live region');
      const depth = tree[list]?.depth ?? 0;
      const items = tree
        .slice(list + 1)
        .filter((node) => node.role === 'listitem' && node.depth === depth + 1)
        .slice(0, 2);
      assert.equal(items.length, 2);
      assert.equal(
        await browser.text('#warnings'),
        warnings.map((warning) => `Warning: ${warning}`).join('\n'),
      );
    });

    it('finds its way by headings and landmarks', async (t) => {
      await openPlayground(t, browser);
      const tree = await browser.accessibilityTree();
      const outline = tree
        .filter(({ role }) => ['banner', 'main', 'heading'].includes(role))
        .map(({ role, name }) => `${role} ${name}`.trim());
      assert.deepEqual(outline, [
        'banner',
        'heading Playground',
        'main',
        'heading Talk',
        'heading Provoke',
        'heading Turns',
      ]);
    });
  });

  describe('how it looks', () => {
    const closers: (() => Promise<void>)[] = [];
    let page: Playground;

    // One talk for all: none of them says a word.
    before(async () => {
      page = await openPlayground({ after: (close) => closers.push(close) }, browser);
      await page.exchange(
        `Do you have ${'very-'.repeat(30)}long words?`,
        `Yes: ${'bread'.repeat(60)}.`,
      );
      await page.press('redeliver');
      await page.shows('transcript', [/^good notice/]);
      await page.say('When?');
      (await page.nextAsked()).say(LONG);
      await page.shows('transcript', [`Agent: ${LONG} <streaming>`]);
      await page.hearSomeWords(); // else the history forgets the reply when the caller goes on
      await page.press('drop');
      await page.shows('transcript', [/^plain notice/]);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked
        .data({ text: 'a'.repeat(300), number: 1, nothing: null, empty: [], isTrue: true })
        .say('One ');
      await page.press('redeliver');
      await page.shows('transcript', [/^good notice/]);
      asked.say('two.').end();
      await page.shows('turns', ['6 again: Hello: completed']);
      await page.say('Fail');
      (await page.nextAsked()).fail('the oven is cold');
      await page.shows('transcript', [/^bad notice/]);
      await page.say('Go on');
      (await page.nextAsked()).say(LONG);
      await page.shows('transcript', [`Agent: ${LONG} <streaming>`]);
      await page.shows('turns', [
        / replayed$/,
        / interrupted$/,
        / taken over$/,
        / completed$/,
        / failed$/,
        / running$/,
      ]);
      await page.shows('history', [
        /\[interrupted\]$/,
        'user: Hello',
        'assistant: One two.',
        'user: Fail',
        `assistant: ${APOLOGY}`,
      ]);
    });

    after(async () => {
      for (const close of closers) await close();
      await browser.reset();
    });

    for (const colorScheme of ['light', 'dark'] as const) {
      it(`reads well where the reader wishes it ${colorScheme}`, async () => {
        await browser.emulate({ colorScheme });
        const wanted = [
          'h1',
          'h2',
          '.muted',
          '[data-role="user"]',
          '[data-state="streaming"]',
          's.unheard',
          '[data-state="interrupted"] .mark',
          '[data-state="failed"] .mark',
          '[data-kind="good"]',
          '[data-kind="bad"]',
          '[data-kind="plain"]',
          'button',
          'button.main',
          'button.quiet',
          'kbd',
          '#say',
          '.provoke span',
          ...['completed', 'replayed', 'interrupted', 'taken over', 'failed', 'running'].map(
            (outcome) => `tr[data-outcome="${outcome}"] td.outcome`,
          ),
          'thead',
          'td.ms',
          '#timeline-axis',
          '[role="tab"][aria-selected="true"]',
          '[role="tab"][aria-selected="false"]',
          '[data-error] .frame',
          '.frame-preview',
          '.json-string',
          '.json-number',
          '.json-null',
          '.json-boolean',
          '#history mark',
        ];
        const missing = new Set(wanted);
        const poor = new Set<string>();
        for (const tab of ['tab-history', 'tab-data', 'tab-events']) {
          await page.press(tab);
          for (const { text, ratio, of } of await contrastsOf(browser, wanted)) {
            for (const selector of of) missing.delete(selector);
            if (ratio < 4.5) poor.add(`${text}: ${ratio.toFixed(2)}`);
          }
        }
        assert.deepEqual([...poor], []);
        assert.deepEqual([...missing], [], 'was not there to be measured');
      });
    }

    it('is dark where the reader wishes it dark', async () => {
      const ground = async (colorScheme: 'light' | 'dark'): Promise<number> => {
        await browser.emulate({ colorScheme });
        const [red = 0] =
          /\d+/.exec(await (await browser.find('body')).style('background-color')) ?? [];
        return Number(red);
      };
      assert.ok((await ground('light')) > 200);
      assert.ok((await ground('dark')) < 60);
    });

    it('does not move where the reader wishes it still', async () => {
      const moving = `return document.getAnimations().length`;
      await browser.emulate({ reducedMotion: false });
      assert.notEqual(await browser.run(moving), 0); // the caret of a reply that streams
      await browser.emulate({ reducedMotion: true });
      assert.equal(await browser.run(moving), 0);
    });

    for (const [width, height] of [
      [390, 844],
      [360, 740],
    ] as const) {
      it(`fits a phone that is ${width} wide`, async () => {
        await browser.emulatePhone({ width, height });
        for (const tab of ['tab-history', 'tab-data', 'tab-events']) {
          await page.press(tab);
          assert.deepEqual(
            await browser.run('return [document.scrollingElement.scrollWidth, innerWidth]'),
            [width, width],
            tab,
          );
        }
      });

      it(`has every control within a finger's reach on a phone that is ${width} wide`, async () => {
        await browser.emulatePhone({ width, height });
        const faults = await browser.run<string[]>(`
          return [...document.querySelectorAll('button, input, summary')].filter((control) => control.checkVisibility()).flatMap((control) => {
            control.scrollIntoView({ block: 'center', behavior: 'instant' });
            // A box is ticked by its label as well.
            const target = control.closest('label') ?? control;
            const { left, right, top, bottom, width, height } = target.getBoundingClientRect();
            const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            const name = control.id || control.textContent.trim().slice(0, 40);
            return [
              ...(left < 0 || right > innerWidth ? [name + ' is cut off: ' + left + '–' + right] : []),
              ...(hit === null || !target.contains(hit) ? [name + ' is covered by ' + hit?.outerHTML.slice(0, 80)] : []),
              ...(control.matches('summary') || (width >= 24 && height >= 24) ? [] : [name + ' is small: ' + width + ' × ' + height]),
            ];
          });
        `);
        assert.deepEqual(faults, []);
      });
    }
  });

  describe('the voice', () => {
    it('speaks a reply sentence by sentence while it streams', async (t) => {
      const page = await openPlayground(t, browser);
      const voice = await FakeVoice.install(browser);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked.say('One is here. Tw');
      await browser.until(
        'the first sentence is spoken',
        async () => (await voice.spoken()).length === 1,
      );
      asked.say('o comes. And three');
      await browser.until(
        'the second sentence is spoken',
        async () => (await voice.spoken()).length === 2,
      );
      asked.say(' too').end();
      await page.shows('transcript', ['Agent: One is here. Two comes. And three too']);
      assert.deepEqual(
        (await voice.spoken()).map((sentence) => sentence.trim()),
        ['One is here.', 'Two comes.', 'And three too'],
      );
    });

    it('ends before the platform is told that the reply was heard', async (t) => {
      const page = await openPlayground(t, browser);
      const voice = await FakeVoice.install(browser);
      await page.say('When?');
      const asked = await page.nextAsked();
      asked.say(`Soon. ${LONG}`).end();
      await page.shows('turns', ['2 When?: completed']);
      assert.equal(await browser.text('#activity'), 'The agent is speaking');
      await voice.endSentence();
      assert.deepEqual(await voice.sent('trigger.response.audio.replay_finished'), []);
      await voice.endSentence();
      assert.deepEqual(await voice.sent('trigger.response.audio.replay_finished'), [
        {
          type: 'trigger.response.audio.replay_finished',
          reason: 'completed',
          turn_id: asked.event['turn_id'],
        },
      ]);
      await page.becomes('#activity', '');
      await page.say('Thanks');
      assert.equal((await page.nextAsked()).interruption, undefined);
    });

    const ways: readonly (readonly [
      what: string,
      interrupt: (page: Playground, voice: FakeVoice) => Promise<void>,
    ])[] = [
      ['the caller types', (page) => page.say('Stop!')],
      ['the caller strikes Escape', () => browser.keys('Escape')],
      [
        'the microphone hears the caller begin',
        async (page, voice) => {
          await page.press('microphone');
          await voice.beginSpeech();
        },
      ],
    ];
    for (const [what, interrupt] of ways) {
      it(`falls silent when ${what}, and the rest counts as not heard`, async (t) => {
        const page = await openPlayground(t, browser);
        const voice = await FakeVoice.install(browser);
        await page.say('When?');
        const asked = await page.nextAsked();
        asked.say(LONG).end();
        await page.shows('turns', ['2 When?: completed']);
        await interrupt(page, voice);
        await browser.until(
          'the voice is silent',
          async () => (await voice.unspoken()).length === 0,
        );
        if (page.asked.length === 1) await page.say('Stop!');
        const next = await page.nextAsked();
        assert.equal(next.interruption?.['assistant_turn_id'], asked.event['turn_id']);
        next.end();
        await page.shows('transcript', [STRUCK, 'You: Stop!', 'Agent:  <said nothing>']);
        assert.deepEqual(
          (await voice.sent('trigger.response.audio.replay_finished')).map(
            ({ turn_id }) => turn_id,
          ),
          [next.event['turn_id']],
        );
      });
    }

    it('does not go on with a reply that the caller spoke over', async (t) => {
      const page = await openPlayground(t, browser);
      const voice = await FakeVoice.install(browser);
      await page.say('When?');
      const asked = await page.nextAsked();
      asked.say('Soon. It');
      await browser.until('a sentence is spoken', async () => (await voice.spoken()).length === 1);
      await page.press('microphone');
      await voice.beginSpeech();
      await asked.aborted();
      await page.shows('transcript', ['Agent: Soon. It <interrupted>']);
      assert.deepEqual([await voice.spoken(), await voice.unspoken()], [['Soon. '], []]);
    });

    it('hears the caller: what seems to be said is shown, and what was said is sent', async (t) => {
      const page = await openPlayground(t, browser);
      const voice = await FakeVoice.install(browser);
      await page.press('microphone');
      await page.becomes('#activity', 'Listening…');
      assert.equal(await (await browser.find('#microphone')).attribute('aria-pressed'), 'true');
      await voice.beginSpeech();
      await voice.recognize('good mor', { isFinal: false });
      await page.becomes('#activity', 'Hearing: good mor');
      assert.equal(page.asked.length, 0);
      await voice.recognize(' Good morning ', { isFinal: true });
      assert.equal((await page.nextAsked()).text, 'Good morning');
      await page.shows('transcript', ['Agent: Hi!', 'You: Good morning']);
      await page.press('microphone');
      await browser.until(
        'nobody listens',
        async () =>
          (await (await browser.find('#microphone')).attribute('aria-pressed')) === 'false',
      );
    });

    it('says in words why nothing is heard', async (t) => {
      const page = await openPlayground(t, browser);
      const voice = await FakeVoice.install(browser);
      await page.press('microphone');
      await voice.deafen('not-allowed');
      await page.shows('transcript', [
        'bad notice: The browser may not use the microphone: allow it in the address bar.',
      ]);
      assert.equal(await (await browser.find('#microphone')).attribute('aria-pressed'), 'false');
    });

    it('is switched off in mid-sentence, which counts as heard', async (t) => {
      const page = await openPlayground(t, browser);
      const voice = await FakeVoice.install(browser);
      await page.exchange('One', 'Yes.');
      assert.deepEqual(await voice.unspoken(), ['Yes.']);
      await page.press('speak-replies');
      assert.deepEqual(await voice.unspoken(), []);
      assert.equal((await voice.sent('trigger.response.audio.replay_finished')).length, 1);
      await page.exchange('Two', 'No.');
      assert.deepEqual(await voice.spoken(), ['Yes.']);
    });

    it('that fails leaves the talk alone', async (t) => {
      const page = await openPlayground(t, browser);
      const voice = await FakeVoice.install(browser);
      await page.exchange('One', 'Yes.');
      await voice.endSentence('error');
      await page.becomes('#activity', '');
      assert.equal((await voice.sent('trigger.response.audio.replay_finished')).length, 1);
    });

    it('says goodbye to the end when the agent has hung up', async (t) => {
      const page = await openPlayground(t, browser);
      const voice = await FakeVoice.install(browser);
      await page.say('Bye');
      (await page.nextAsked()).hangUp('Goodbye!');
      await page.becomes('#connection', 'closed');
      assert.deepEqual(await voice.unspoken(), ['Goodbye!']);
      assert.equal(await browser.text('#activity'), 'The agent is speaking');
      await voice.endSentence();
      await page.becomes('#activity', '');
    });

    it('is told to be missing where the browser has none', async (t) => {
      await openPlayground(t, browser);
      assert.equal(await browser.text('#voice-note'), 'This browser has no voice.');
      assert.equal(await (await browser.find('#speak-replies')).isEnabled(), false);
      await FakeVoice.install(browser);
      await browser.until(
        'the voice is found',
        async () => await (await browser.find('#speak-replies')).isEnabled(),
      );
      assert.equal(await (await browser.find('#voice-note')).isDisplayed(), false);
    });

    it('is told to have no ear where the browser recognizes no speech', async (t) => {
      await openPlayground(t, browser, {
        script: 'delete globalThis.SpeechRecognition; delete globalThis.webkitSpeechRecognition;',
      });
      assert.equal(await (await browser.find('#microphone')).isDisplayed(), false);
      assert.equal(
        await browser.text('#microphone-note'),
        'This browser has no speech recognition: type instead.',
      );
    });
  });

  describe('a picture', () => {
    it('is kept of it in daylight, in the dark and on a phone', async (t) => {
      const bakery = openBakery();
      const { app, origin } = await serveWithPlayground(bakery.agent);
      t.after(async () => {
        bakery.release();
        await browser.reset();
        await app.close();
      });
      const page = new Playground({ browser, app, origin });
      await browser.open(`${origin}/playground`);
      await page.shows('transcript', [/^Agent: Good morning/]);
      const voice = await FakeVoice.install(browser);
      await voice.endAll();
      await playScene(page, voice);
      await page.checkConsole();

      await browser.emulate({ colorScheme: 'light', reducedMotion: true });
      const picture = await browser.screenshot(artefact('playground'), { isFullPage: false });
      if (process.env['README_PICTURE']) {
        writeFileSync(README_PICTURE, smallPng(readFileSync(picture)));
      }
      await browser.emulate({ colorScheme: 'dark' });
      await browser.screenshot(artefact('playground-dark'), { isFullPage: false });
      await browser.emulate({ colorScheme: 'light' });
      await browser.emulatePhone({ width: 390, height: 844 });
      await browser.screenshot(artefact('playground-phone'));
    });
  });
});

describe('the playground and strangers', () => {
  /** What a browser asks for beside a page that names none. */
  const FAVICON = /favicon\.ico/;
  const browser = new Browser({
    // As a name server of theirs would answer: https://en.wikipedia.org/wiki/DNS_rebinding
    args: [
      '--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP other.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
    ],
  });
  const other = createServer((_request, response) => {
    response
      .writeHead(200, { 'content-type': 'text/html' })
      .end('<!doctype html><link rel="icon" href="data:,">');
  });
  let elsewhere = '';

  before(async () => {
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    elsewhere = `http://other.example:${(other.address() as AddressInfo).port}/`;
    await browser.start();
  });

  after(async () => {
    other.close();
    other.closeAllConnections();
    await browser.close();
  });

  /** A page of another site, and a key that it might have got somewhere. */
  async function openElsewhere(t: TestContext): Promise<Playground & { readonly key: string }> {
    const page = await openPlayground(t, browser, { path: false });
    page.expectError(
      / 403 \(Forbidden\)/,
      /WebSocket connection to .* failed/,
      /blocked by CORS policy/,
      /net::ERR_/,
      /frame-ancestors/,
    );
    const body = '{"agent_id":"playground","conversation_id":"known"}';
    const response = await fetch(`${page.origin}/playground/session`, { method: 'POST', body });
    const { client_session_key: key } = (await response.json()) as { client_session_key: string };
    await page.app.conversations.addMessage('known', { role: 'user', content: 'A secret' });
    await browser.open(elsewhere);
    return Object.assign(page, { key });
  }

  /** What becomes of a socket that the page opens: `open`, or the status of the refusal. */
  async function openSocket(page: Playground, origin: string, key: string): Promise<unknown> {
    const isOpen = await browser.runAsync<boolean>(
      `
      const socket = new WebSocket(arguments[0]);
      return new Promise((resolve) => {
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
      });
    `,
      `${origin.replace('http', 'ws')}/v1/agents/web/websocket?client_session_key=${key}&trace=true`,
    );
    if (isOpen) return 'open';
    // a socket that is open is not yet
    const lines = await within(page.log.wait('request', 2), 'the key and the socket are logged');
    return lines.find(({ path }) => path === '/v1/agents/web/websocket')?.['status'];
  }

  it('is refused to a name that was rebound to this machine', async (t) => {
    const page = await openPlayground(t, browser, { path: false });
    page.expectError(/ 403 \(Forbidden\)/, FAVICON);
    await browser.open(`${page.origin.replace('127.0.0.1', 'rebound.example')}/playground`);
    assert.match(
      await browser.text('body'),
      /this route serves only this machine: the host header is not localhost/,
    );
  });

  it('is open by the name of localhost', async (t) => {
    const page = await openPlayground(t, browser, { path: false });
    await browser.open(`${page.origin.replace('127.0.0.1', 'localhost')}/playground`);
    await page.shows('transcript', ['Agent: Hi!']);
  });

  it('opens no socket to a page of another site', async (t) => {
    const page = await openElsewhere(t);
    assert.equal(await openSocket(page, page.origin, page.key), 403);
  });

  it('opens no socket by a name that was rebound', async (t) => {
    const page = await openElsewhere(t);
    assert.equal(
      await openSocket(page, page.origin.replace('127.0.0.1', 'rebound.example'), page.key),
      403,
    );
  });

  it('opens a socket with that key to a page of its own', async (t) => {
    const page = await openElsewhere(t);
    page.expectError(FAVICON);
    await browser.open(`${page.origin}/playground/page.css`);
    // else the tests before prove nothing
    assert.equal(await openSocket(page, page.origin, page.key), 'open');
  });

  it('gives a page of another site no key and no history', async (t) => {
    const page = await openElsewhere(t);
    const answers = await browser.runAsync<string[]>(
      `
      const ask = (path, init) => fetch(arguments[0] + path, init).then((response) => response.text(), String);
      return [
        await ask('/playground/session', { method: 'POST', body: '{"agent_id":"playground"}' }),
        await ask('/playground/session', { method: 'POST', body: '{"agent_id":"playground"}', headers: { 'content-type': 'application/json' } }),
        await ask('/playground/history/known'),
        await ask('/playground'),
      ];
    `,
      page.origin,
    );
    for (const answer of answers) {
      assert.match(answer, /this route serves only this machine|Failed to fetch/);
    }
  });

  it('is neither framed nor loaded by a page of another site', async (t) => {
    const page = await openElsewhere(t);
    const isLoaded = await browser.runAsync<boolean>(
      `
      const [origin] = arguments;
      const settle = (name, attributes) => new Promise((resolve) => {
        const element = Object.assign(document.createElement(name), attributes);
        element.onload = () => resolve(true);
        element.onerror = () => resolve(false);
        document.body.append(element);
      });
      await settle('iframe', { src: origin + '/playground' });
      return settle('script', { src: origin + '/playground/page.js' });
    `,
      page.origin,
    );
    assert.equal(isLoaded, false);
    assert.match((await browser.consoleErrors()).join('\n'), /frame-ancestors/);
    assert.deepEqual(
      page.log.records().filter(({ path }) => path === '/playground/page.css'),
      [],
    ); // the page did not come to life
  });
});
