// What cloudflared says, cut anywhere. The program as a process is in tunnel.test.ts.

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';

import { CloudflaredOutput } from '../../../src/kit/tunnel/cloudflared.ts';
import { BOX, CONNECTED, REFUSED, URL_OF_TUNNEL } from './fake-cloudflared.ts';

describe('CloudflaredOutput', () => {
  function read(pieces: readonly string[]): Promise<CloudflaredOutput> {
    const stream = new PassThrough();
    const output = new CloudflaredOutput([stream]);
    for (const piece of pieces) stream.write(piece);
    stream.end();
    return output.end(1_000).then(() => output);
  }

  it('finds the URL wherever the output is cut', async () => {
    const text = BOX + CONNECTED;
    for (let cut = 0; cut <= text.length; cut++) {
      const { url, isConnected } = await read([text.slice(0, cut), text.slice(cut)]);
      assert.deepEqual([url, isConnected], [URL_OF_TUNNEL, true], String(cut));
    }
  });

  it('takes the first of two', async () => {
    assert.equal(
      (await read(['https://a-b.trycloudflare.com https://c-d.trycloudflare.com\n'])).url,
      'https://a-b.trycloudflare.com',
    );
  });

  it('finds it in JSON, between colours, before a full stop and without a line break', async () => {
    for (const text of [
      `{"message":"|  ${URL_OF_TUNNEL}  |"}`,
      `\u001b[32m${URL_OF_TUNNEL}\u001b[0m`,
      `At ${URL_OF_TUNNEL}.`,
      `${URL_OF_TUNNEL}/`,
    ]) {
      assert.equal((await read([text])).url, URL_OF_TUNNEL, text);
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
    it(`takes no other URL for it: ${text.slice(-60).trim()}`, async () =>
      assert.equal((await read([`${text}\n`])).url, undefined));
  }

  it('joins no halves of a line that is too long to be kept', async () => {
    const { url } = await read([
      `${'x'.repeat(4_096 - 10)} https://a`,
      'x'.repeat(10_000),
      `-b.trycloudflare.com\n`,
    ]);
    assert.equal(url, undefined);
  });

  it('keeps a few lines of much output', async () => {
    const output = await read(
      Array.from({ length: 500 }, (_, index) => `${index} ${'x'.repeat(5_000)}\n`),
    );
    assert.match(output.lastLines, /^: 496 x+… \| 497 x+… \| 498 x+… \| 499 x+…$/);
    assert.ok(output.lastLines.length < 1_300);
  });

  it('knows the older words for being connected', async () => {
    assert.equal(
      (await read([`${BOX}INF Connection c206cf44-945f registered connIndex=0 location=ORD\n`]))
        .isConnected,
      true,
    );
  });

  it('is not connected without a URL', async () =>
    assert.equal((await read([CONNECTED])).isConnected, false));
});
