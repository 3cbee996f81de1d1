// The playground by keyboard, by screen reader, and to the eye.
//
// Pictures of a talk are kept as artefacts, including README's. To take that one again:
//   README_PICTURE=1 npm run test:browser -- test/browser/playground-access.browser-test.ts

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import type { SerializedAXNode } from 'puppeteer-core';

import { artefact, emulatePhone, launchChromium } from './chromium.ts';
import { readContrasts } from './contrast.ts';
import { FakeVoice } from './fake-voice.ts';
import { openBakery, playScene } from './playground-scene.ts';
import {
  LONG, openPlayground, openPlaygroundOf, seesReady, type Playground,
} from './playground-stage.ts';

const README_PICTURE = join(import.meta.dirname, '../..', 'docs', 'playground.webp');
const APOLOGY = 'Sorry, something went wrong. Could you say that again?';

const browser = await launchChromium();

/** What a screen reader is told about, in the order of the document. */
async function accessibleNodes({ tab }: Playground): Promise<SerializedAXNode[]> {
  const withChildren = (node: SerializedAXNode): SerializedAXNode[] =>
    [node, ...(node.children ?? []).flatMap(withChildren)];
  const root = await tab.accessibility.snapshot({ interestingOnly: false });
  return root === null ? [] : withChildren(root);
}

/** Tells the page the reader's preferences. */
function wish({ tab }: Playground, wishes: Readonly<Record<string, string>>): Promise<void> {
  const features = Object.entries(wishes).map(([name, value]) => ({ name, value }));
  return tab.emulateMediaFeatures(features);
}

describe('in the playground,', () => {
  describe('the keyboard', () => {
    /** The element that has the keyboard, by its id or class. */
    const focused = (page: Playground): Promise<string> =>
      page.tab.evaluate(() => {
        const { activeElement } = document;
        return activeElement?.id || activeElement?.className || activeElement?.tagName || '';
      });

    /** Strikes the key until this element has the keyboard. Returns what had it on the way. */
    async function walk(
      page: Playground,
      key: 'Tab' | 'Shift+Tab',
      last: string,
    ): Promise<string[]> {
      const stops: string[] = [];
      while (stops.at(-1) !== last) {
        assert.ok(stops.length < 50, `the keyboard does not get to ${last}: ${stops.join()}`);
        await page.strike(key);
        stops.push(await focused(page));
      }
      return stops;
    }

    it('reaches everything in the order of the page, with a visible focus', async (t) => {
      const page = await openPlayground(t, browser);
      assert.equal(await focused(page), 'say'); // so that the caller can speak at once
      const outlines = await page.tab.evaluateHandle(() => {
        const lines: string[] = [];
        document.addEventListener('focusin', (event) => {
          const target = event.target as Element;
          const { outlineStyle, outlineWidth } = getComputedStyle(target);
          lines.push([target.id, outlineStyle, outlineWidth].join(' '));
        });
        return lines;
      });
      const order = [
        'skip', 'wire-choice', 'copy', 'reconnect', 'new-conversation', 'caller', 'export',
        'transcript', 'say', 'microphone', 'send', 'redeliver', 'drop', 'forge-wrong',
        'forge-stale', 'end-session', 'tab-events', 'filter-all', 'clear-events', 'events',
      ];
      const back = await walk(page, 'Shift+Tab', 'skip');
      assert.deepEqual(back, order.slice(0, order.indexOf('say')).reverse());
      assert.deepEqual(await walk(page, 'Tab', 'events'), order.slice(1));
      const seen = await outlines.jsonValue();
      assert.ok(seen.length > order.length);
      assert.deepEqual(seen.filter((line) => !line.endsWith(' solid 2px')), []);
      await page.strike('Tab');
      // out of the page; a browser without a window may start over at once
      assert.match(await focused(page), /^(?:BODY|skip)$/);
    });

    it('skips from the first tab stop to the field', async (t) => {
      const page = await openPlayground(t, browser);
      await walk(page, 'Shift+Tab', 'skip');
      assert.equal(await page.isDisplayed('.skip'), true);
      await page.strike('Enter');
      assert.equal(await focused(page), 'say');
    });

    it('is enough to speak, to interrupt with Escape, and to speak again', async (t) => {
      const page = await openPlayground(t, browser);
      await page.strike('H', 'i', 'Enter');
      const asked = await page.nextAsked();
      assert.equal(asked.text, 'Hi');
      asked.say(LONG);
      await page.shows('transcript', [`Agent: ${LONG} <streaming>`]);
      await page.strike('Tab', 'Tab', 'Escape');
      await asked.aborted();
      assert.equal(await focused(page), 'send');
      await page.strike('Shift+Tab', 'Shift+Tab', 'N', 'o', 'Enter');
      assert.equal((await page.nextAsked()).text, 'No');
    });

    it('chooses a tab with the arrow keys: together the tabs are one stop', async (t) => {
      const page = await openPlayground(t, browser);
      await page.tab.focus('#end-session');
      await page.strike('Tab');
      const chosen: (string | undefined)[][] = [];
      const [right, left] = ['ArrowRight', 'ArrowLeft'] as const;
      for (const key of [right, right, right, left, 'Home', 'End'] as const) {
        await page.strike(key);
        chosen.push(
          await page.tab.evaluate(() => {
            const all = (css: string): Element[] => [...document.querySelectorAll(css)];
            const idsOf = (elements: Element[]): string => elements.map(({ id }) => id).join();
            const shown = all('[role="tabpanel"]').filter((panel) => panel.checkVisibility());
            const selected = all('[role="tab"][aria-selected="true"]');
            return [document.activeElement?.id, idsOf(selected), idsOf(shown)];
          }),
        );
      }
      const names = ['data', 'history', 'events', 'history', 'events', 'history'];
      assert.deepEqual(
        chosen,
        names.map((name) => [`tab-${name}`, `tab-${name}`, `panel-${name}`]),
      );
      await page.strike('Tab');
      assert.equal(await focused(page), 'panel-history');
    });

    it('goes through the frames with the arrow keys, and opens one with Enter', async (t) => {
      const page = await openPlayground(t, browser);
      await page.exchange('Hello', 'Yes?');
      await walk(page, 'Tab', 'events');
      await page.strike('ArrowUp', 'ArrowUp', 'ArrowDown');
      assert.match(await page.text(':focus'), /turn completed/);
      await page.strike('Enter');
      await page.becomes('#events > li:last-child', /durationMs: [\d.]+/);
    });
  });

  describe('a screen reader', () => {
    it('finds a name for everything that can be used', async (t) => {
      const page = await openPlayground(t, browser);
      (await page.asks('Hello')).data({ order: [1] }).say(LONG); // with the Interrupt button
      await page.shows('transcript', [`Agent: ${LONG} <streaming>`]);
      const usable = [
        'button', 'textbox', 'tab', 'radio', 'checkbox', 'link', 'DisclosureTriangle', 'tablist',
        'tabpanel', 'region', 'log', 'table', 'columnheader',
      ];
      const seen = new Set<string>();
      const unnamed: string[] = [];
      for (const tab of ['tab-history', 'tab-data', 'tab-events']) {
        await page.press(tab);
        for (const { role, name } of await accessibleNodes(page)) {
          if (!usable.includes(role)) continue;
          seen.add(role);
          if ((name ?? '').trim() === '') unnamed.push(role);
        }
      }
      assert.deepEqual(unnamed, []);
      assert.deepEqual(usable.filter((role) => !seen.has(role)), []);
    });

    it('is told of the whole reply once, and not of each piece', async (t) => {
      const page = await openPlayground(t, browser);
      const told = await page.tab.evaluateHandle(() => {
        const texts: (string | null)[] = [];
        const live = '[aria-live], [role="status"], [role="alert"], [role="log"]';
        for (const region of document.querySelectorAll(live)) {
          if (region.getAttribute('aria-live') === 'off') continue;
          const tell = (): void => {
            texts.push((region.lastElementChild ?? region).textContent);
          };
          const changes = { childList: true, subtree: true, characterData: true };
          new MutationObserver(tell).observe(region, changes);
        }
        return texts;
      });
      const asked = await page.asks('Hello');
      for (const [piece, soFar] of [
        ['One ', 'One '],
        ['two, ', 'One two, '],
        ['three.', 'One two, three.'],
      ] as const) {
        asked.say(piece);
        await page.shows('transcript', [`Agent: ${soFar} <streaming>`]);
      }
      assert.deepEqual(await told.jsonValue(), []);
      asked.end();
      await page.shows('announced', ['Agent: One two, three.']);
      assert.deepEqual(await told.jsonValue(), ['Agent: One two, three.']);
    });

    it('is told of notices and interruptions', async (t) => {
      const page = await openPlayground(t, browser);
      await page.streams('Hello', 'One ');
      await page.strike('Escape');
      await page.shows('announced', ['Agent, interrupted: One']);
      await page.press('forge-wrong');
      await page.shows('announced', ['Agent, interrupted: One', /^Bad signature: 401/]);
      (await page.asks('Two')).end();
      await page.shows('transcript', [
        'Agent: ~One ~ <interrupted, nothing was heard>',
        /^good/,
        'You: Two',
        'Agent:  <said nothing>',
      ]);
      assert.match(await page.text('#transcript s.unheard'), /\(not heard:\)/);
    });

    it("is told of the server's warnings, as a list", async (t) => {
      const warnings = ['OPENAI_API_KEY is not set', 'the fall-back has no key'];
      const script = seesReady({ ready: true, agent: 'tested', model: null, warnings });
      const page = await openPlayground(t, browser, { script });
      await page.tab.waitForSelector('#warnings > li', { visible: true });
      const lists = (await accessibleNodes(page))
        .filter(({ role }) => role === 'status')
        .flatMap(({ children = [] }) => children)
        .filter(({ role }) => role === 'list');
      assert.deepEqual(lists.map(({ children }) => children?.map(({ role }) => role)), [
        ['listitem', 'listitem'],
      ]);
      assert.equal(
        await page.text('#warnings'),
        warnings.map((warning) => `Warning: ${warning}`).join('\n'),
      );
    });

    it('finds its way by headings and landmarks', async (t) => {
      const page = await openPlayground(t, browser);
      const outline = (await accessibleNodes(page))
        .filter(({ role }) => ['banner', 'main', 'heading'].includes(role))
        .map(({ role, name = '' }) => `${role} ${name}`.trim());
      assert.deepEqual(outline, [
        'banner', 'heading Playground', 'main', 'heading Talk', 'heading Provoke', 'heading Turns',
      ]);
    });
  });

  describe('the page', () => {
    const closers: (() => Promise<void>)[] = [];
    let page: Playground;

    // One talk for all tests: none of them says a word.
    before(async () => {
      page = await openPlayground({ after: (close) => closers.push(close) }, browser);
      await page.exchange(
        `Do you have ${'very-'.repeat(30)}long words?`,
        `Yes: ${'bread'.repeat(60)}.`,
      );
      await page.press('redeliver');
      await page.shows('transcript', [/^good notice/]);
      await page.streams('When?', LONG);
      await page.hearSomeWords(); // otherwise the history forgets the reply when the caller goes on
      await page.press('drop');
      await page.shows('transcript', [/^plain notice/]);
      const asked = await page.asks('Hello');
      asked
        .data({ text: 'a'.repeat(300), number: 1, nothing: null, empty: [], isTrue: true })
        .say('One ');
      await page.press('redeliver');
      await page.shows('transcript', [/^good notice/]);
      asked.say('two.').end();
      await page.shows('turns', ['6 again: Hello: completed']);
      (await page.asks('Fail')).fail('the oven is cold');
      await page.shows('transcript', [/^bad notice/]);
      await page.streams('Go on', LONG);
      const outcomes = ['replayed', 'interrupted', 'taken over', 'completed', 'failed', 'running'];
      await page.shows('turns', outcomes.map((outcome) => new RegExp(` ${outcome}$`)));
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
    });

    for (const colorScheme of ['light', 'dark'] as const) {
      it(`has enough contrast in the ${colorScheme} colour scheme`, async () => {
        await wish(page, { 'prefers-color-scheme': colorScheme });
        const outcomes = [
          'completed', 'replayed', 'interrupted', 'taken over', 'failed', 'running',
        ].map((outcome) => `tr[data-outcome="${outcome}"] td.outcome`);
        const wanted = [
          'h1', 'h2', '.muted', '[data-role="user"]', '[data-state="streaming"]', 's.unheard',
          '[data-state="interrupted"] .mark', '[data-state="failed"] .mark', '[data-kind="good"]',
          '[data-kind="bad"]', '[data-kind="plain"]', 'button', 'button.main', 'button.quiet',
          'kbd', '#say', '.provoke span', ...outcomes, 'thead', 'td.ms', '#timeline-axis',
          '[role="tab"][aria-selected="true"]', '[role="tab"][aria-selected="false"]',
          '[data-error] .frame', '.frame-preview', '.json-string', '.json-number', '.json-null',
          '.json-boolean', '#history mark',
        ];
        const missing = new Set(wanted);
        const poor = new Set<string>();
        for (const tab of ['tab-history', 'tab-data', 'tab-events']) {
          await page.press(tab);
          for (const { text, ratio, of } of await page.tab.evaluate(readContrasts, wanted)) {
            for (const selector of of) missing.delete(selector);
            if (ratio < 4.5) poor.add(`${text}: ${ratio.toFixed(2)}`);
          }
        }
        assert.deepEqual([...poor], []);
        assert.deepEqual([...missing], [], 'was not there to be measured');
      });
    }

    it('is dark if the reader prefers dark', async () => {
      const ground = async (colorScheme: 'light' | 'dark'): Promise<number> => {
        await wish(page, { 'prefers-color-scheme': colorScheme });
        const color = await page.tab.$eval('body', (body) =>
          getComputedStyle(body).backgroundColor);
        return Number(/\d+/.exec(color)?.[0]);
      };
      assert.ok((await ground('light')) > 200);
      assert.ok((await ground('dark')) < 60);
    });

    it('is not animated if the reader prefers reduced motion', async () => {
      const moving = (): number => document.getAnimations().length;
      await wish(page, { 'prefers-reduced-motion': 'no-preference' });
      assert.notEqual(await page.tab.evaluate(moving), 0); // the caret of a streaming reply
      await wish(page, { 'prefers-reduced-motion': 'reduce' });
      assert.equal(await page.tab.evaluate(moving), 0);
    });

    for (const [width, height] of [
      [390, 844],
      [360, 740],
    ] as const) {
      it(`fits a phone that is ${width} pixels wide`, async () => {
        await emulatePhone(page.tab, { width, height });
        for (const tab of ['tab-history', 'tab-data', 'tab-events']) {
          await page.press(tab);
          assert.deepEqual(
            await page.tab.evaluate(() => [document.scrollingElement?.scrollWidth, innerWidth]),
            [width, width],
            tab,
          );
        }
      });

      it(`has controls that a finger can hit on a phone that is ${width} pixels wide`, async () => {
        await emulatePhone(page.tab, { width, height });
        const faults = await page.tab.$$eval('button, input, summary', (controls) => {
          const seen = controls.filter((control) => control.checkVisibility());
          return seen.flatMap((control) => {
            control.scrollIntoView({ block: 'center', behavior: 'instant' });
            // A box is ticked by its label as well.
            const target = control.closest('label') ?? control;
            const { left, right, top, bottom, width, height } = target.getBoundingClientRect();
            const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            const name = control.id || control.textContent?.trim().slice(0, 40);
            const isCutOff = left < 0 || right > innerWidth;
            const isCovered = hit === null || !target.contains(hit);
            const isSmall = !control.matches('summary') && (width < 24 || height < 24);
            return [
              ...(isCutOff ? [name + ' is cut off: ' + left + '–' + right] : []),
              ...(isCovered ? [name + ' is covered by ' + hit?.outerHTML.slice(0, 80)] : []),
              ...(isSmall ? [name + ' is small: ' + width + ' × ' + height] : []),
            ];
          });
        });
        assert.deepEqual(faults, []);
      });
    }
  });

  describe('a screenshot', () => {
    it('is taken in light colours, in dark ones, and on a phone', async (t) => {
      const page = await openPlaygroundOf(t, browser, openBakery());
      await page.shows('transcript', [/^Agent: Good morning/]);
      const voice = await FakeVoice.install(page.tab);
      await voice.endAll();
      await playScene(page, voice);

      const still = { 'prefers-reduced-motion': 'reduce' };
      await wish(page, { ...still, 'prefers-color-scheme': 'light' });
      await page.tab.screenshot({ path: artefact('playground') });
      if (process.env['README_PICTURE']) {
        await page.tab.screenshot({ path: README_PICTURE, quality: 40 });
      }
      await wish(page, { ...still, 'prefers-color-scheme': 'dark' });
      await page.tab.screenshot({ path: artefact('playground-dark') });
      await wish(page, { ...still, 'prefers-color-scheme': 'light' });
      await emulatePhone(page.tab, { width: 390, height: 844 });
      await page.tab.screenshot({ path: artefact('playground-phone'), fullPage: true });
    });
  });
});
