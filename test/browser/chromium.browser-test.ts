import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, describe, it } from 'node:test';

import { listen } from '../fixtures/listen.ts';
import { typeErrors } from '../fixtures/pages.ts';
import { launchChromium, openTab } from './chromium.ts';

const PAGE = '<!doctype html><link rel="icon" href="data:,">';

const browser = await launchChromium();
const server = createServer(({ url }, response) => {
  response.writeHead(url === '/' ? 200 : 404, { 'content-type': 'text/html' }).end(PAGE);
});
const { port, close } = await listen(server);
after(close);

describe('the browser of these tests', () => {
  const origin = `http://127.0.0.1:${port}/`;

  it('reports each exception, console.error and missing file once', async () => {
    const { tab, errors } = await openTab(browser);
    await tab.goto(origin);
    await tab.evaluate(async () => {
      console.error('one');
      console.log('fine');
      console.warn('hm');
      setTimeout(() => {
        throw new Error('two');
      });
      await fetch('/three');
    });
    await tab.close();
    const [first = '', second = '', third = '', ...others] = errors;
    assert.match(first, /one/);
    assert.match(second, /two/);
    assert.match(third, /three .* 404/);
    assert.deepEqual(others, []);
  });

  it('reaches no other machine', async () => {
    const { tab, errors } = await openTab(browser);
    await tab.goto(origin);
    // With this name Chromium would find our server by itself, so the test needs no network to show
    // that it does not try.
    await tab.evaluate(async (url) => {
      await fetch(url, { mode: 'no-cors' }).catch(() => undefined);
    }, origin.replace('127.0.0.1', 'elsewhere.localhost'));
    await tab.close();
    assert.match(errors.join('\n'), /ERR_NAME_NOT_RESOLVED/);
  });
});

describe('test/browser', () => {
  it('has no type errors when it is checked with the DOM and puppeteer-core', () => {
    const lines = typeErrors(import.meta.dirname).split('\n');
    // `src` is written without the DOM, and `npm run typecheck` checks it that way.
    assert.deepEqual(lines.filter((line) => !/^(?:\.\.\/\.\.\/src\/|  |$)/.test(line)), []);
  });
});
