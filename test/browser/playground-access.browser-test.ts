// The playground by keyboard, by screen reader, and to the eye.
//
// Pictures of a talk are kept as artefacts (artefact.ts), README's too. To take that one again:
//   README_PICTURE=1 node --import tsx --test --test-name-pattern='a picture' \
//     test/browser/playground-access.browser-test.ts

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { artefact } from './artefact.ts';
import { contrastsOf } from './contrast.ts';
import { FakeVoice } from './fake-voice.ts';
import { openBakery, playScene } from './playground-scene.ts';
import { LONG, openPlayground, Playground, serveWithPlayground } from './playground-stage.ts';
import { smallPng } from './small-png.ts';
import { Browser } from './webdriver.ts';

const README_PICTURE = join(import.meta.dirname, '../..', 'docs', 'playground.png');
const APOLOGY = 'Sorry, something went wrong. Could you say that again?';

describe('the playground', () => {
  const browser = new Browser({ size: { width: 1_280, height: 900 } });
  before(() => browser.start());
  after(() => browser.close());

  describe('the keyboard', () => {
    /** The element that has it, by its id or class. */
    const focused = (): Promise<string> =>
      browser.run(
        'const { id, className, tagName } = document.activeElement;'
          + 'return id || className || tagName',
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
          await browser.run(`
            const selected = [...document.querySelectorAll('[role="tab"][aria-selected="true"]')];
            const panels = [...document.querySelectorAll('[role="tabpanel"]')];
            const shown = panels.filter((panel) => panel.checkVisibility());
            const idsOf = (elements) => elements.map(({ id }) => id).join();
            return [document.activeElement.id, idsOf(selected), idsOf(shown)];
          `),
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
        const live = '[aria-live], [role="status"], [role="alert"], [role="log"]';
        for (const region of document.querySelectorAll(live)) {
          if (region.getAttribute('aria-live') === 'off') continue;
          const tell = () => told.push(region.lastElementChild?.textContent ?? region.textContent);
          const changes = { childList: true, subtree: true, characterData: true };
          new MutationObserver(tell).observe(region, changes);
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
          url === '/ready'
            ? Promise.resolve(new Response(${JSON.stringify(ready)}))
            : fetch(url, ...rest);`,
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
          const controls = [...document.querySelectorAll('button, input, summary')];
          const seen = controls.filter((control) => control.checkVisibility());
          return seen.flatMap((control) => {
            control.scrollIntoView({ block: 'center', behavior: 'instant' });
            // A box is ticked by its label as well.
            const target = control.closest('label') ?? control;
            const { left, right, top, bottom, width, height } = target.getBoundingClientRect();
            const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            const name = control.id || control.textContent.trim().slice(0, 40);
            const isCutOff = left < 0 || right > innerWidth;
            const isCovered = hit === null || !target.contains(hit);
            const isSmall = !control.matches('summary') && (width < 24 || height < 24);
            return [
              ...(isCutOff ? [name + ' is cut off: ' + left + '–' + right] : []),
              ...(isCovered ? [name + ' is covered by ' + hit?.outerHTML.slice(0, 80)] : []),
              ...(isSmall ? [name + ' is small: ' + width + ' × ' + height] : []),
            ];
          });
        `);
        assert.deepEqual(faults, []);
      });
    }
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
