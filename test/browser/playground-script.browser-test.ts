// The script that the playground exports, played again.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../src/core/agents/agent.ts';
import { defineAgent } from '../../src/core/agents/define-agent.ts';
import type { Scenario } from '../../src/kit/eval/scenario.ts';
import { playScript } from '../../src/kit/talk/play-script.ts';
import { readTalkScript } from '../../src/kit/talk/talk-script.ts';
import { fired } from '../fixtures/app.ts';
import { newFolder } from '../fixtures/folder.ts';
import { SECRET } from '../fixtures/kernel.ts';
import { RecordedTerminal } from '../kit/terminal/recorded-terminal.ts';
import { launchChromium } from './chromium.ts';
import {
  LONG, openPlayground, openPlaygroundOf, seesReady, type Playground,
} from './playground-stage.ts';

const browser = await launchChromium();

/** What `talk --script` reads from a file with this text. */
function read(text: string): Scenario {
  const folder = newFolder();
  writeFileSync(join(folder, 'talk.txt'), text);
  return readTalkScript('talk.txt', folder, true);
}

describe('from the playground,', () => {
  describe('an exported script', () => {
    /** Deterministic, with everything that a script can expect. */
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
      const blobs = await page.tab.evaluateHandle(() => {
        const kept: Blob[] = [];
        const { createObjectURL } = URL;
        URL.createObjectURL = (blob) => {
          kept.push(blob as Blob);
          return createObjectURL.call(URL, blob);
        };
        return kept;
      });
      await page.press('export');
      await page.shows('transcript', [
        'plain notice: Saved as talk.txt. To play it: talk --script talk.txt',
      ]);
      return blobs.evaluate(async ([blob]) => (await blob?.text()) ?? '');
    }

    async function talkToShop(t: TestContext, agent: Agent = shop): Promise<Playground> {
      const page = await openPlaygroundOf(t, browser, agent);
      await page.shows('turns', ['1 start of the session: completed']);
      return page;
    }

    it('can be played to the same agent by talk --script without failing', async (t) => {
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
      const target = { url: `${page.origin}/api/agent`, secret: SECRET };
      assert.equal(
        await playScript(read(script), target, 'played', 10_000, terminal),
        0,
        terminal.out,
      );
    });

    it('expects a hang-up if there was one', async (t) => {
      const page = await openPlayground(t, browser);
      (await page.asks('Bye')).hangUp('Goodbye!');
      await page.becomes('#connection', 'closed');
      assert.match(await exported(page), /\nsay Bye\nexpect Goodbye!\nexpect-hangup\n$/);
    });

    it('has a model\'s words as comments, because they differ each time', async (t) => {
      const page = await openPlayground(t, browser, {
        script: seesReady({ ready: true, agent: 'tested', model: 'test:model' }),
      });
      await page.exchange('Hello', 'Yes?');
      const script = await exported(page);
      assert.match(script, /\n# expect Hi!\n\nsay Hello\n# expect Yes\?\n$/);
      assert.equal(read(script).steps.length, 1);
    });

    it("leaves out a failed turn's apology, and starts anew with each conversation", async (t) => {
      const page = await openPlayground(t, browser);
      (await page.asks('Fail')).fail('the oven is cold');
      await page.shows('transcript', [/^bad notice/]);
      assert.match(await exported(page), /\nsay Fail\n# this turn failed\n$/);
      await page.press('new-conversation');
      await page.shows('history', ['assistant: Hi!']);
      assert.doesNotMatch(await exported(page), /Fail/);
    });
  });
});
