// What the playground keeps from pages of other sites.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, describe, it, type TestContext } from 'node:test';

import { within } from '../fixtures/app.ts';
import { listen } from '../fixtures/listen.ts';
import { launchChromium } from './chromium.ts';
import { openPlayground, type Playground } from './playground-stage.ts';

const browser = await launchChromium([
  // What an attacker's name server would answer: https://en.wikipedia.org/wiki/DNS_rebinding
  '--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP other.example 127.0.0.1, '
    + 'MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
]);
const other = createServer((_request, response) => {
  response
    .writeHead(200, { 'content-type': 'text/html' })
    .end('<!doctype html><link rel="icon" href="data:,">');
});
const { port, close } = await listen(other);
after(close);

describe('the playground', () => {
  /** A browser asks for it if a page names no icon. */
  const FAVICON = /favicon\.ico/;
  const elsewhere = `http://other.example:${port}/`;

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
    await page.tab.goto(elsewhere);
    return Object.assign(page, { key });
  }

  /** The outcome for a socket that the page opens: `open`, or the status of the refusal. */
  async function openSocket(page: Playground, origin: string, key: string): Promise<unknown> {
    const wires = `${origin.replace('http', 'ws')}/v1/agents/web/websocket`;
    const isOpen = await page.tab.evaluate((url) => {
      const socket = new WebSocket(url);
      return new Promise<boolean>((resolve) => {
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
      });
    }, `${wires}?client_session_key=${key}&trace=true`);
    if (isOpen) return 'open';
    // a socket that is still open has not been logged yet
    const lines = await within(page.log.wait('request', 2), 'the key and the socket are logged');
    return lines.find(({ path }) => path === '/v1/agents/web/websocket')?.['status'];
  }

  it('opens no socket for a page of another site, even under a rebound name', async (t) => {
    for (const host of ['127.0.0.1', 'rebound.example']) {
      const page = await openElsewhere(t);
      const origin = page.origin.replace('127.0.0.1', host);
      assert.equal(await openSocket(page, origin, page.key), 403, host);
    }
  });

  it('opens a socket for its own page', async (t) => {
    const page = await openElsewhere(t);
    page.expectError(FAVICON);
    await page.tab.goto(`${page.origin}/playground/page.css`);
    // otherwise the tests above prove nothing
    assert.equal(await openSocket(page, page.origin, page.key), 'open');
  });

  it('gives neither a key nor the history to a page of another site', async (t) => {
    const page = await openElsewhere(t);
    const answers = await page.tab.evaluate(async (origin) => {
      const ask = (path: string, init?: RequestInit): Promise<string> =>
        fetch(origin + path, init).then((response) => response.text(), String);
      const post = { method: 'POST', body: '{"agent_id":"playground"}' };
      const headers = { 'content-type': 'application/json' };
      return [
        await ask('/playground/session', post),
        await ask('/playground/session', { ...post, headers }),
        await ask('/playground/history/known'),
        await ask('/playground'),
      ];
    }, page.origin);
    for (const answer of answers) {
      assert.match(answer, /this route serves only this machine|Failed to fetch/);
    }
  });

  it('cannot be framed or loaded by a page of another site', async (t) => {
    const page = await openElsewhere(t);
    const isLoaded = await page.tab.evaluate(async (origin) => {
      const settle = (name: 'iframe' | 'script', src: string): Promise<boolean> =>
        new Promise((resolve) => {
          const element = Object.assign(document.createElement(name), { src });
          element.onload = () => resolve(true);
          element.onerror = () => resolve(false);
          document.body.append(element);
        });
      await settle('iframe', `${origin}/playground`);
      return settle('script', `${origin}/playground/page.js`);
    }, page.origin);
    assert.equal(isLoaded, false);
    assert.match(page.errors.join('\n'), /frame-ancestors/);
    assert.deepEqual(
      page.log.records().filter(({ path }) => path === '/playground/page.css'),
      [],
    ); // the page did not start
  });
});
