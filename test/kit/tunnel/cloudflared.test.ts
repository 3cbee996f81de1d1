// What cloudflared says, line by line. The program as a process is in tunnel.test.ts.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CloudflaredOutput } from '../../../src/kit/tunnel/cloudflared.ts';
import { BOX, CONNECTED, REFUSED, URL_OF_TUNNEL } from './fake-cloudflared.ts';

describe('CloudflaredOutput', () => {
  function read(text: string): CloudflaredOutput {
    const output = new CloudflaredOutput();
    for (const line of text.split('\n')) output.take(line);
    return output;
  }

  it('finds the URL, and says that it is connected', () => {
    const { url, isConnected } = read(BOX + CONNECTED);
    assert.deepEqual([url, isConnected], [URL_OF_TUNNEL, true]);
  });

  it('uses the first of two URLs', () => {
    assert.equal(
      read('https://a-b.trycloudflare.com https://c-d.trycloudflare.com').url,
      'https://a-b.trycloudflare.com',
    );
  });

  it('finds the URL in JSON, between colours, and before a full stop', () => {
    for (const text of [
      `{"message":"|  ${URL_OF_TUNNEL}  |"}`,
      `\u001b[32m${URL_OF_TUNNEL}\u001b[0m`,
      `At ${URL_OF_TUNNEL}.`,
      `${URL_OF_TUNNEL}/`,
    ]) {
      assert.equal(read(text).url, URL_OF_TUNNEL, text);
    }
  });

  const others = [
    REFUSED,
    'https://api.trycloudflare.com',
    'https://trycloudflare.com',
    'http://a-b.trycloudflare.com',
    'https://a-b.trycloudflare.com.evil.example',
    'https://a-b.trycloudflare.community',
    'https://a-b.trycloudflare.com-x.example',
    'https://a-b.c.trycloudflare.com',
    'https://a-.trycloudflare.com',
    'https://developers.cloudflare.com/a-b.trycloudflare.com',
  ];
  for (const text of others) {
    it(`ignores any other URL: ${text.slice(-60).trim()}`, () =>
      assert.equal(read(text).url, undefined));
  }

  it('keeps only the last few lines of long output', () => {
    const output = read(
      Array.from({ length: 500 }, (_, index) => `${index} ${'x'.repeat(5_000)}`).join('\n'),
    );
    assert.match(output.lastLines, /^: 496 x+… \| 497 x+… \| 498 x+… \| 499 x+…$/);
    assert.ok(output.lastLines.length < 1_300);
  });

  it('is not connected without a URL', () =>
    assert.equal(read(CONNECTED).isConnected, false));
});
