// The playground's choice of a wire: the same agent, called by LayerCode or by another platform.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { artefact, launchChromium } from './chromium.ts';
import { openPlayground, WELCOME, type Playground } from './playground-stage.ts';

async function choose(page: Playground, wire: string): Promise<void> {
  await page.tab.select('#wire-choice', wire);
  await page.shows('transcript', [`Agent: ${WELCOME}`]);
  await page.becomes('#connection', 'connected');
}

const browser = await launchChromium();

describe('the playground on a chosen wire', () => {
  it('begins a new conversation over Chat Completions, as a platform does', async (t) => {
    const page = await openPlayground(t, browser);
    const first = await page.text('#conversation');
    await choose(page, 'vapi');
    assert.notEqual(await page.text('#conversation'), first);
    await page.exchange('A table for four', 'At seven?');
    await page.exchange('Yes, please', 'It is booked.');
    const { event } = page.asked[1] ?? {};
    const call = event?.['call'] as { readonly id: string };
    assert.equal(event?.['type'], 'chat.completion');
    assert.equal(call.id, await page.text('#conversation'));
    const turns = (await page.view()).turns;
    assert.deepEqual(turns.map((line) => line.replace(/:.*/s, '')), [
      '1 start of the session', '2 A table for four', '3 Yes, please',
    ]);
    await page.tab.screenshot({ path: artefact('playground-chat-completions') });
    await page.press('tab-history');
    await page.shows('history', [
      `assistant: ${WELCOME}`, 'user: A table for four', 'assistant: At seven?',
      'user: Yes, please', 'assistant: It is booked.',
    ]);
  });

  it('shows what is posted, and what comes back', async (t) => {
    const page = await openPlayground(t, browser);
    await choose(page, 'generic');
    await page.exchange('Hello', 'Hello there.');
    const { events } = await page.view();
    const from = events.lastIndexOf('→ chat/completions Hello');
    assert.deepEqual(events.slice(from, from + 6).map((line) => line.replace(/ \d.*ms.*/, '')), [
      '→ chat/completions Hello', '← HTTP 200', '← content Hello there.', '← finish stop',
      '← done', '■ ended',
    ]);
  });

  it('delivers a turn twice, drops a reply, and is refused with a wrong key', async (t) => {
    const page = await openPlayground(t, browser);
    await choose(page, 'elevenlabs');
    assert.equal(await page.isDisplayed('#forge-stale'), false);
    await page.exchange('Hello', 'Hello there.');
    await page.press('redeliver');
    await page.shows('transcript', [
      'good notice: Delivered twice: the stored reply was sent again, and the model was not asked.',
    ]);
    await page.press('forge-wrong');
    await page.shows('transcript', [/^good notice: Bad key: 401 .*: refused, as it should be\.$/]);
    await page.streams('Once more', 'This is ');
    await page.press('drop');
    await page.shows('transcript', [/notice: Dropped in the middle/]);
  });
});
