// The playground as a caller has it: a real Chromium, a real server, and an agent that says what the test says, when the test says it.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { fired } from '../test/fixtures/app.ts';
import { openPlayground } from './playground-stage.ts';
import { Browser } from './webdriver.ts';

const APOLOGY = 'Sorry, something went wrong. Could you say that again?';
/** Some 14 seconds of speech. */
const LONG = 'The night train leaves at ten past eleven from platform four, and stops in Ghent, Bruges and Ostend, where a boat waits for its '
  + 'travellers until the last of them has come on board and the lights of the harbour have gone out.';
/** Of speech, in which some words are heard: the platform counts 170 of them a minute, and nothing tells of a word that was heard. */
const SOME_WORDS_MS = 800;

describe('the playground', () => {
  const browser = new Browser({ size: { width: 1_280, height: 900 } });
  before(() => browser.start());
  after(() => browser.close());

  describe('a talk', () => {
    it('begins with the welcome, and says who answers', async (t) => {
      const page = await openPlayground(t, browser);
      assert.deepEqual((await page.view()).transcript, ['Agent: Hi!']);
      assert.deepEqual([await browser.text('#agent'), await browser.text('#model')], ['tested', 'no model']);
      assert.match(await browser.text('#conversation'), /^[0-9a-f-]{36}$/);
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
      asked.noteFirstToken(1.5).say('Yes?');
      await page.shows('turns', ['1 start of the session: completed', '2 Hello: running']);
      asked.end();
      await page.shows('turns', ['1 start of the session: completed', '2 Hello: completed']);
      const figures = (row: number): Promise<string[]> =>
        browser.run(`return [...document.querySelectorAll('#timeline > tr')[arguments[0]].querySelectorAll('.ms')].map((cell) => cell.textContent)`, row);
      const [token, speech, end] = await browser.until('the server\'s figures', async () => {
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
      const rows = await browser.run<{ width: number; ends: number[] }[]>(`return [...document.querySelectorAll('#timeline svg')].map((svg) => ({
        width: svg.getBoundingClientRect().width,
        ends: [...svg.querySelectorAll('rect:not(.grid)')].map((rect) => rect.getBoundingClientRect().right - svg.getBoundingClientRect().left),
      }))`);
      assert.equal(rows.length, 3);
      for (const { width, ends } of rows) assert.ok(width > 100 && ends.every((end) => end >= -1 && end <= width + 2), `${width}: ${ends.join()}`);
    });

    it('shows the history as the model will read it', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      await page.press('tab-history');
      await page.shows('history', ['assistant: Hi!', 'user: Hello', 'assistant: Yes?']);
      assert.equal(await browser.text('#history'), 'assistant\nHi!\nuser\nHello\nassistant\nYes?');
      assert.equal(await browser.text('#history-count'), '3');
    });

    it('shows every frame, and its JSON when it is opened', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      const { events } = await page.view();
      const from = events.indexOf('→ message Hello');
      assert.deepEqual(events.slice(from).map((line) => line.replace(/[\d.]+ ms/, '… ms')), [
        '→ message Hello', '← HTTP 200', '← response.tts Yes?', '← response.end', '■ ended', '∑ turn completed … ms',
      ]);
      await browser.click('#events > li:last-child summary.frame');
      await page.becomes('#events > li:last-child', /durationMs: [\d.]+/);
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
      (await page.nextAsked()).data({ [html]: html }).say(html).end();
      await page.shows('transcript', [`You: ${html}`, `Agent: ${html}`]);
      await page.press('tab-history');
      await page.shows('history', [`user: ${html}`, `assistant: ${html}`]);
      assert.equal(await browser.text('#agent'), '<i>tested</i>');
      assert.match((await page.view()).data[0] ?? '', /<b>bold<\/b>/);
      for (const row of await browser.findAll('#events summary.frame')) if (await row.isDisplayed()) await row.click();
      assert.equal(await browser.run(`return document.querySelectorAll('img, #transcript b, #data b, #history b, #events b, #timeline b').length`), 0);
      assert.equal(await browser.title(), 'Playground');
    });

    it('cuts a reply that would fill the page', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      (await page.nextAsked()).say('a'.repeat(15_000)).say('b'.repeat(15_000)).end();
      await page.shows('transcript', ['You: Hello', /^Agent: a{15000}b{5000}… \(30,000 characters\)$/]);
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
      assert.deepEqual([transcript.length, turns, data, history.length], [1, ['1 start of the session: completed'], [], 1]);
      assert.notEqual(await browser.text('#conversation'), conversation);
      assert.equal(await page.focusedId(), 'say');
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
      assert.equal(await browser.text('#data > li:last-child'), 'data 1: { order, empty }\norder: { items, total, isPaid }\nempty: {}');
      await browser.click('#data > li:last-child .json-entries > details > summary');
      await browser.click('#data > li:last-child .json-entries .json-entries > details > summary');
      assert.equal(await browser.text('#data > li:last-child'), [
        'data 1: { order, empty }', 'order: { items, total, isPaid }', 'items: [2]', '0: "bread"', '1: null', 'total: 7.5', 'isPaid: false', 'empty: {}',
      ].join('\n'));
    });
  });

  describe('an interruption', () => {
    it('by typing over a reply strikes what was not heard, everywhere', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('When?');
      const asked = await page.nextAsked();
      asked.say(LONG);
      await page.shows('transcript', ['You: When?', `Agent: ${LONG} <streaming>`]);
      const saidAt = performance.now();
      await browser.until('some words were heard', async () => performance.now() - saidAt >= SOME_WORDS_MS);
      await page.say('Stop!');
      await fired(asked.signal);

      const next = await page.nextAsked();
      const { previous_turn_interrupted, text_heard, words_heard, assistant_turn_id } = next.interruption ?? {};
      const heard = String(text_heard);
      assert.deepEqual([previous_turn_interrupted, assistant_turn_id], [true, asked.event['turn_id']]);
      assert.ok(Number(words_heard) > 0 && heard !== '' && heard.length < LONG.length && LONG.startsWith(heard), heard);

      next.say('Sorry.').end();
      const struck = `Agent: ${heard} ~${LONG.slice(heard.length).trimStart()}~ <interrupted, the rest was not heard>`;
      await page.shows('transcript', ['You: When?', struck, 'You: Stop!', 'Agent: Sorry.']);
      await page.shows('turns', ['2 When?: interrupted', '3 Stop!: completed']);
      await page.shows('history', ['user: When?', `assistant: ${heard} [interrupted]`, 'user: Stop!', 'assistant: Sorry.']);
      const line = await (await browser.find('#transcript s.unheard')).style('text-decoration-line');
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
        await fired(asked.signal);
        await page.shows('transcript', [`Agent: ${LONG} <interrupted>`]);
        await page.shows('turns', ['2 When?: interrupted']);
        await page.shows('history', ['user: When?', `assistant: ${LONG} [interrupted]`]); // nobody has told the server what was heard
        await browser.until('the button is gone', async () => !await (await browser.find('#interrupt')).isDisplayed());
        assert.equal(await page.focusedId(), 'say');

        await page.say('Stop!');
        const next = await page.nextAsked();
        assert.equal(next.interruption?.['assistant_turn_id'], asked.event['turn_id']);
        next.say('Sorry.').end();
        await page.shows('transcript', ['You: When?', /^Agent: .*~.+~ <interrupted, (the rest was not|nothing was) heard>$/, 'You: Stop!', 'Agent: Sorry.']);
      });
    }

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
        'You: Hello', 'Agent: Yes?', 'good notice: Delivered twice: the stored reply was sent again, and the model was not asked.',
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
      const notice = 'good notice: Delivered twice: the second delivery took the stream over, and the model was not asked again.';
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
      await page.shows('transcript', ['Agent: Two.', 'good notice: Delivered again: the turn had not come to its end, so it ran anew.']);
      await page.shows('history', ['user: Hello', 'assistant: Two.']);
    });

    it('says that there is nothing to deliver yet', async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('redeliver');
      await page.shows('transcript', ['bad notice: There is no turn to deliver twice: say something first.']);
    });
  });

  describe('a failing agent', () => {
    it('is heard to apologise, and its turn is told to have failed', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      (await page.nextAsked()).fail('the oven is cold');
      await page.shows('turns', ['2 Hello: failed']);
      await page.shows('transcript', [`Agent: ${APOLOGY} <failed>`, /^bad notice: The turn failed; the caller heard the apology/]);
      await page.press('filter-errors');
      await page.shows('events', [/^∑ turn failed/]);
      assert.equal(await browser.run(`return document.body.textContent.includes('oven')`), false); // reasons are for the server's log
    });

    it('keeps what it said before', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Hello');
      const asked = await page.nextAsked();
      asked.say('One moment');
      await page.shows('transcript', ['Agent: One moment <streaming>']);
      asked.fail('the oven is cold');
      await page.shows('transcript', [`Agent: One moment ${APOLOGY} <failed>`, /^bad notice: The turn failed/]);
      await page.exchange('Again', 'Yes.');
    });
  });

  describe('a forged message', () => {
    for (const [id, name] of [['forge-wrong', 'Bad signature'], ['forge-stale', 'Stale signature']] as const) {
      it(`of ${id} is refused with 401, which is told as right`, async (t) => {
        const page = await openPlayground(t, browser);
        await page.press(id);
        await page.shows('transcript', [`good notice: ${name}: 401 Invalid signature: refused, as it must be.`]);
        await page.press('filter-errors');
        await page.shows('events', ['← HTTP 401', '← JSON {"error":"Invalid signature"}', '■ failed 401 Invalid signature']);
        const { turns, history } = await page.view();
        assert.deepEqual([page.asked.length, turns, history], [0, ['1 start of the session: completed'], ['assistant: Hi!']]);
      });
    }

    it('leaves a talk as it was', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      await page.press('forge-wrong', 'forge-stale');
      await page.shows('transcript', ['You: One', 'Agent: Yes.', /^good notice: Bad/, /^good notice: Stale/]);
      await page.exchange('Two', 'No.');
      await page.shows('turns', ['2 One: completed', '3 Two: completed']);
      assert.equal(page.asked.length, 2);
    });
  });

  describe('Drop in the middle', () => {
    it('ends the agent\'s turn and keeps what was sent', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('When?');
      const asked = await page.nextAsked();
      asked.say('At ten ');
      await page.shows('transcript', ['Agent: At ten  <streaming>']);
      await page.press('drop');
      await fired(asked.signal);
      await page.shows('transcript', ['Agent: At ten  <interrupted>', 'plain notice: Dropped in the middle. The history keeps what had been sent, marked [interrupted].']);
      await page.shows('turns', ['2 When?: interrupted']);
      await page.shows('history', ['user: When?', 'assistant: At ten [interrupted]']);
    });

    it('says that nothing streams', async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('drop');
      await page.shows('transcript', [/^bad notice: Nothing streams that could be dropped/]);
    });
  });

  describe('a session', () => {
    it('ends with 200, and a reconnection goes on with the conversation', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('One', 'Yes.');
      const conversation = await browser.text('#conversation');
      await page.press('end-session');
      await page.shows('transcript', [
        'plain notice: The session\'s end was delivered: 200.',
        'plain notice: The connection is closed: the session ended, code 1000. Reconnect goes on with this conversation.',
      ]);
      await page.becomes('#connection', 'closed');
      await page.press('reconnect');
      await page.shows('transcript', ['Agent: Welcome back.']);
      assert.deepEqual([await browser.text('#connection'), await browser.text('#conversation')], ['connected', conversation]);
      assert.equal(await page.focusedId(), 'say');
      await page.exchange('Two', 'No.');
      await page.shows('history', ['assistant: Hi!', 'user: One', 'assistant: Yes.', 'assistant: Welcome back.', 'user: Two', 'assistant: No.']);
    });

    it('says that nothing can be sent when it is over, and keeps the words', async (t) => {
      const page = await openPlayground(t, browser);
      await page.press('end-session');
      await page.becomes('#connection', 'closed');
      await page.say('Hello?');
      await page.shows('transcript', ['bad notice: Not connected: press Reconnect, or New conversation.']);
      assert.equal(await (await browser.find('#say')).property('value'), 'Hello?');
    });

    it('is over when the agent hangs up', async (t) => {
      const page = await openPlayground(t, browser);
      await page.say('Bye');
      (await page.nextAsked()).hangUp('Goodbye!');
      await page.shows('transcript', [
        'You: Bye', 'Agent: Goodbye!', 'plain notice: The agent hangs up.',
        'plain notice: The connection is closed: the agent hung up, code 1000. Reconnect goes on with this conversation.',
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
      await fired(asked.signal);
      await page.becomes('#connection', 'closed');
      await page.shows('turns', ['2 When?: interrupted']);
      assert.match((await page.view()).transcript[2] ?? '', /^Agent: .* <interrupted/);
    });

    it('tells that the server went away, and that it does not come back', async (t) => {
      const page = await openPlayground(t, browser);
      page.expectError(/ERR_CONNECTION_(?:REFUSED|RESET)/);
      await page.app.close();
      await page.shows('transcript', [
        'bad notice: The connection is closed: the server is shutting down, code 1001. Reconnect goes on with this conversation.',
        /^bad notice: The history cannot be shown/,
      ]);
      await page.press('reconnect');
      await page.becomes('#connection', 'failed');
      await page.shows('transcript', ['bad notice: The server does not answer. Is it running?']);
      await page.becomes('#warnings', /^The server does not answer at \/ready/);
    });
  });
});
