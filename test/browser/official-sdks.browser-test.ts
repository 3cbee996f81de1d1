// The official front ends, unchanged, from test/peers, in a real browser and against the local
// platform.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it, type TestContext } from 'node:test';

import { buildSync } from 'esbuild';
import type { Page } from 'puppeteer-core';

import type { Agent } from '../../src/core/agents/agent.ts';
import { defineAgent } from '../../src/core/agents/define-agent.ts';
import type { MessageEvent, SessionEndEvent } from '../../src/core/wires/layercode/events.ts';
import { LocalPlatform } from '../../src/kit/platform/local-platform.ts';
import { deferred, fired, Told, within } from '../fixtures/app.ts';
import { serve } from '../fixtures/kernel.ts';
import { PEERS } from '../fixtures/pages.ts';
import { launchChromium, openTab, type Tab } from './chromium.ts';
import { servePages } from './sdk/page-server.ts';

/** The script of a page, with everything that it imports. */
function bundle(name: string): string {
  const { outputFiles } = buildSync({
    entryPoints: [join(import.meta.dirname, 'sdk', `${name}.js`)],
    nodePaths: [join(PEERS, 'node_modules')],
    define: { 'process.env.NODE_ENV': '"development"' }, // React reports more
    bundle: true,
    write: false,
    logLevel: 'error',
  });
  return outputFiles.map(({ text }) => text).join('');
}

const names = ['js-sdk', 'react-sdk'];
const pages = await servePages(Object.fromEntries(names.map((name) => [name, bundle(name)])));

after(() => pages.close());

const browser = await launchChromium([
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
]);

interface Stage {
  /** `localhost:<port>`, the name that a page has for the server. */
  readonly host: string;
  /** The messages that the agent got. */
  readonly posted: Told<MessageEvent>;
  readonly ends: Told<SessionEndEvent>;
}

type TestAgent = Partial<Agent> & { readonly welcome?: string };

/** A server with its local platform, for the length of a test. */
async function stage(
  t: TestContext,
  { onMessage = ({ text }) => `You said: ${text}`, ...agent }: TestAgent,
): Promise<Stage> {
  const posted = new Told<MessageEvent>();
  const ends = new Told<SessionEndEvent>();
  const { port } = await serve(t, {
    platform: new LocalPlatform({ playground: false }),
    agent: defineAgent({
      name: 'tested',
      welcome: 'Hello there.',
      onSessionEnd: ({ event }) => ends.tell(event as SessionEndEvent),
      ...agent,
      onMessage(turn, reply) {
        posted.tell(turn.event as MessageEvent);
        return onMessage(turn, reply);
      },
    }),
  });
  return { host: `localhost:${port}`, posted, ends };
}

/** What was said, without the times. */
function linesOf({ transcript }: SessionEndEvent): unknown[] {
  return (transcript ?? []).map(({ role, text }) => [role, text]);
}

/** The page js-sdk.js, and what its client reported. */
class JsPage {
  readonly tab: Page;
  readonly errors: string[];

  constructor({ tab, errors }: Tab) {
    this.tab = tab;
    this.errors = errors;
  }

  /** Opens the page and connects. Resolves when the agent's welcome has arrived. */
  async connect(host: string, query = ''): Promise<void> {
    await this.tab.goto(`${pages.origin}/js-sdk?server=${host}${query}`);
    await this.tab.evaluate('client.connect()');
    await this.hears('turn.end assistant');
  }

  /** Everything that a callback was given. */
  async told(callback: string): Promise<unknown[]> {
    return this.tab.evaluate(`toldTo('${callback}')`) as Promise<unknown[]>;
  }

  /** What a callback was given, in short: `turn.start assistant`, `response.text "Hello there."` */
  async shapes(callback: string): Promise<string[]> {
    return this.tab.evaluate(`toldTo('${callback}').map(shapeOf)`) as Promise<string[]>;
  }

  /**
   * What the platform sent and `onMessage` got, in short. The client also reports there what it
   * says itself.
   */
  async messages(): Promise<string[]> {
    return (await this.shapes('onMessage')).filter((shape) => !shape.startsWith('trigger.'));
  }

  /** Waits until `onMessage` has got this shape `count` times. */
  async hears(shape: string, count = 1): Promise<void> {
    const isShape = `(message) => shapeOf(message) === ${JSON.stringify(shape)}`;
    await this.tab.waitForFunction(`toldTo('onMessage').filter(${isShape}).length >= ${count}`);
  }

  async say(text: string): Promise<void> {
    await this.tab.evaluate(`client.sendClientResponseText(${JSON.stringify(text)})`);
  }

  async status(): Promise<unknown> {
    return this.tab.evaluate('client.status');
  }
}

describe('@layercode/js-sdk', () => {
  let page: JsPage;

  beforeEach(async () => {
    page = new JsPage(await openTab(browser));
  });

  afterEach(async () => {
    assert.deepEqual(await page.told('onError'), []);
    assert.deepEqual(page.errors, []);
    await page.tab.close();
  });

  it('connects from a page on another origin, is welcomed, and gets a reply', async (t) => {
    const { host } = await stage(t, { onMessage: () => ['One, ', 'two.'] });
    await page.connect(host);
    assert.deepEqual(await page.told('onStatusChange'), ['connecting', 'connected']);
    const conversationId = await page.tab.evaluate('client.conversationId');
    assert.match(String(conversationId), /^[0-9a-f-]{36}$/);
    assert.deepEqual(await page.told('onConnect'), [
      { conversationId, config: { transcription: { trigger: 'automatic' } } },
    ]);
    await page.say('Count.');
    await page.hears('turn.end assistant', 2);
    assert.deepEqual(await page.messages(), [
      'turn.start assistant',
      'response.text.delta "Hello there."',
      'response.text "Hello there."',
      'response.end',
      'turn.end assistant',
      'turn.start user',
      'user.transcript "Count."',
      'turn.end user',
      'turn.start assistant',
      'response.text.delta "One, "',
      'response.text.delta "two."',
      'response.text "One, two."',
      'response.end',
      'turn.end assistant',
    ]);
  });

  it('passes metadata and data to the agent, and gets data from it', async (t) => {
    const data = new Told<unknown>();
    const { host } = await stage(t, {
      onData: (occasion) => data.tell(occasion.data),
      onMessage({ metadata }, reply) {
        reply.data({ cart: ['tent'] });
        return `You are on the page ${String(metadata['page'])}.`;
      },
    });
    await page.connect(host);
    await page.say('Where am I?');
    await page.hears('response.text "You are on the page shop."');
    assert.deepEqual(await page.shapes('onDataMessage'), [
      'response.data {"cart":["tent"]}',
    ]);
    await page.tab.evaluate('client.sendClientResponseData({ item: "tent", count: 2 })');
    assert.deepEqual(await data.next(), { item: 'tent', count: 2 });
  });

  it('interrupts a reply with what is typed over it', async (t) => {
    const dropped = deferred<unknown>();
    const { host, posted } = await stage(t, {
      async *onMessage({ text, signal }) {
        if (text === 'Stop.') return yield* ['Very well.'];
        yield 'Once upon a time there was ';
        dropped.resolve(await fired(signal));
      },
    });
    await page.connect(host);
    await page.say('Tell me a story.');
    const story = await posted.next();
    await page.hears('response.text.delta "Once upon a time there was "');
    await page.say('Stop.');
    await within(dropped.promise, 'the drop of the first reply');
    const context = (await posted.next()).interruption_context;
    assert.equal(context?.assistant_turn_id, story.turn_id);
    const heard = context?.text_heard ?? '?';
    assert.ok('Once upon a time there was '.startsWith(heard), heard);
    await page.hears('response.text "Very well."');
  });

  it('ends the session with disconnect(), and later resumes its conversation', async (t) => {
    const { host, ends } = await stage(t, {
      onSessionStart: ({ isResumed }) => (isResumed ? 'Where were we?' : 'Hello there.'),
      onMessage: ({ history }) => `I know of ${history.length} messages.`,
    });
    await page.connect(host);
    const conversationId = await page.tab.evaluate('client.conversationId');
    await page.tab.evaluate('client.disconnect()');
    assert.deepEqual(linesOf(await ends.next('session.end')), [['assistant', 'Hello there.']]);
    assert.equal(await page.status(), 'disconnected');
    await page.tab.evaluate('client.connect()');
    await page.hears('response.text "Where were we?"');
    await page.say('Here.');
    await page.hears('response.text "I know of 3 messages."'); // two welcomes, and this
    assert.equal(await page.tab.evaluate('client.conversationId'), conversationId);
  });

  it('ends the session when its page is left', async (t) => {
    const { host, ends } = await stage(t, {});
    await page.connect(host);
    await page.tab.reload();
    assert.deepEqual(linesOf(await ends.next('session.end')), [['assistant', 'Hello there.']]);
  });

  it('is told of the hang-up after the last words of the agent', async (t) => {
    const { host } = await stage(t, {
      onMessage(_turn, reply) {
        reply.say('Goodbye.');
        reply.hangup();
      },
    });
    await page.connect(host);
    await page.say('That was all.');
    await page.tab.waitForFunction(`toldTo('onDisconnect').length === 1`);
    assert.ok((await page.messages()).includes('response.text "Goodbye."'));
    assert.equal(await page.status(), 'disconnected');
  });
});

describe('@layercode/js-sdk with its microphone and speaker on (the default)', () => {
  it('works with text, and its sound is ignored', async (t) => {
    const { host, posted } = await stage(t, {});
    const page = new JsPage(await openTab(browser));
    await page.connect(host, '&audio=true');
    await page.tab.waitForFunction(`sent.includes('client.audio')`);
    await page.say('Hello?');
    await page.hears('response.text "You said: Hello?"');
    assert.equal(posted.all.length, 1);
    assert.equal(await page.status(), 'connected');
    assert.deepEqual(await page.told('onError'), []);
  });
});

describe('@layercode/react-sdk', () => {
  it('is welcomed, exchanges words and data, and resumes its conversation', async (t) => {
    const data = new Told<unknown>();
    const { host, ends } = await stage(t, {
      onSessionStart: ({ isResumed }) => (isResumed ? 'Where were we?' : 'Hello there.'),
      onData: (occasion) => data.tell(occasion.data),
      onMessage({ text }, reply) {
        reply.data({ cart: ['tent'] });
        return `You said: ${text}`;
      },
    });
    const { tab, errors } = await openTab(browser);
    const shows = async (line: string): Promise<void> => {
      await tab.waitForFunction(
        (text) => [...document.querySelectorAll('li')].some((item) => item.innerText === text),
        {}, line,
      );
    };
    const textOf = (css: string): Promise<string | null> =>
      tab.$eval(css, ({ textContent }) => textContent);
    await tab.goto(`${pages.origin}/react-sdk?server=${host}`);
    await tab.locator('#connect').click();
    await shows('Hello there.');
    assert.equal(await textOf('#status'), 'connected');
    await tab.type('#words', 'tent');
    await tab.click('#point');
    assert.deepEqual(await data.next(), { item: 'tent' });
    await tab.click('#say');
    await shows('You said: tent');
    await shows('{"cart":["tent"]}');
    const conversation = await textOf('#conversation');
    await tab.click('#disconnect');
    await ends.next('session.end');
    await tab.click('#connect');
    await shows('Where were we?');
    assert.equal(await textOf('#conversation'), conversation);
    assert.deepEqual([await tab.evaluate('errors'), errors], [[], []]);
    await tab.close();
  });
});
