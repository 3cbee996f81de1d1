// The playground in a real browser, with a server behind it and an agent whose part the test plays:
// nothing is said before the test says it.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Browser, JSHandle, KeyInput, Page } from 'puppeteer-core';

import type { Json, JsonObject } from '../../src/base/json.ts';
import type { Agent, MessageTurn, ModelUsage } from '../../src/core/agents/agent.ts';
import type { Reply } from '../../src/core/agents/agent.ts';
import { defineAgent } from '../../src/core/agents/define-agent.ts';
import { LocalPlatform } from '../../src/kit/platform/local-platform.ts';
import type { App } from '../../src/server/app/app.ts';
import type { NamedAgents } from '../../src/server/app/assemble-app.ts';
import { createApp } from '../../src/server/app/create-app.ts';
import { deferred, fired, Told, within } from '../fixtures/app.ts';
import { recordLog, settingsWith, type RecordedLog } from '../fixtures/kernel.ts';
import { openTab, type Tab } from './chromium.ts';

export const WELCOME = 'Hi!';
/** Some 14 seconds of speech. */
export const LONG =
  'The night train leaves at ten past eleven from platform four, and stops in Ghent, Bruges and ' +
  'Ostend, where a boat waits for its travellers until the last of them has come on board and ' +
  'the lights of the harbour have gone out.';

/** Enough time to hear some words, but not many, at 170 words a minute. */
const SOME_WORDS_MS = 1_000;

/** One turn in which the agent was asked: the caller's words, and the reply that the test gives. */
export class AskedTurn {
  readonly text: string;
  readonly event: Readonly<Record<string, unknown>>;
  readonly #over = deferred();
  readonly #turn: MessageTurn;
  readonly #reply: Reply;

  constructor(turn: MessageTurn, reply: Reply) {
    this.#turn = turn;
    this.#reply = reply;
    this.text = turn.text;
    this.event = { ...turn.event };
  }

  get over(): Promise<void> {
    return this.#over.promise;
  }

  end(): void {
    this.#over.resolve();
  }

  say(text: string): this {
    void this.#reply.say(text);
    return this;
  }

  data(content: Json): this {
    void this.#reply.data(content);
    return this;
  }

  hangUp(say: string): void {
    this.#reply.hangup({ say });
  }

  fail(message: string): void {
    this.#over.reject(new Error(message));
  }

  /** Waits until the agent is told that nobody is listening any more. */
  async aborted(): Promise<void> {
    await within(fired(this.#turn.signal), "the agent's signal fires", 5_000);
  }

  /** Notes a request to a model. */
  noteUsage(usage: Partial<ModelUsage>): this {
    this.#turn.journal.noteUsage({
      type: 'usage',
      model: 'test:model',
      inputTokens: undefined,
      outputTokens: undefined,
      firstDeltaMs: 1,
      ...usage,
    });
    return this;
  }

  /** What the platform said about an interruption; undefined if it reported none. */
  get interruption(): JsonObject | undefined {
    return this.event['interruption_context'] as JsonObject | undefined;
  }
}

/** Parts of the page as lines of text. */
export interface View {
  /**
   * `You: …`; `Agent: …`, with `~…~` around what was not heard and the mark after it in `<…>`;
   * `good notice: …`, or `bad` or `plain`.
   */
  readonly transcript: readonly string[];
  /** `1 Hello: completed` */
  readonly turns: readonly string[];
  /** `user: Hello` */
  readonly history: readonly string[];
  /** The frames that the filter lets through: `→ message Hello`, `← HTTP 200`. */
  readonly events: readonly string[];
  readonly announced: readonly string[];
  /** As text, newest first. */
  readonly data: readonly string[];
}

/** Runs in the page, so it uses nothing from outside. */
function readView(): View {
  const all = (css: string, root: ParentNode = document): HTMLElement[] =>
    [...root.querySelectorAll<HTMLElement>(css)];
  const text = (element: Element | null | undefined): string =>
    (element?.textContent ?? '').replace(/\s+/g, ' ').trim();
  const words = (entry: HTMLElement): string => {
    const copy = entry.querySelector('[data-text]')?.cloneNode(true) as HTMLElement;
    for (const unheard of all('s.unheard', copy)) {
      for (const hidden of all('.sr-only', unheard)) hidden.remove();
      unheard.replaceWith(`~${unheard.textContent}~`);
    }
    return copy.textContent ?? '';
  };
  const said = (entry: HTMLElement): string => {
    const { role, kind, state = '' } = entry.dataset;
    if (role === 'notice') return `${kind} notice: ${words(entry)}`;
    if (role === 'user') return `You: ${words(entry)}`;
    const mark = entry.querySelector('.mark')?.textContent || (state === 'completed' ? '' : state);
    const speaker = text(entry.querySelector('.speaker'));
    return `${speaker}: ${words(entry)}${mark === '' ? '' : ` <${mark}>`}`;
  };
  const frame = (row: HTMLElement): string =>
    ['.frame-arrow', '.frame-what', '.frame-preview']
      .map((css) => text(row.querySelector(css))).join(' ').trim();
  return {
    transcript: all('#transcript > [data-role]').map(said),
    turns: all('#timeline > tr')
      .map((row) => `${text(row.firstElementChild)}: ${text(row.querySelector('td.outcome'))}`),
    history: all('#history > [data-role]').map((entry) =>
      `${entry.dataset['role']}: ${all('[data-text], .tool', entry).map(text).join(' ')}`),
    events: all('#events > li').filter((row) => row.checkVisibility()).map(frame),
    announced: all('#announcer > *').map(text),
    data: all('#data > li').map(text),
  };
}

export interface PlaygroundOptions {
  /**
   * Hooks and texts of the agent. Its default welcome is `WELCOME`, and the test is its
   * `onMessage`.
   */
  readonly agent?: Partial<Omit<Agent, 'onMessage'>>;
  /** The path that is opened; `false` opens none. Default `/playground`. */
  readonly path?: string | false;
  /** What the browser runs before the page's own script. */
  readonly script?: string | undefined;
}

interface PlaygroundParts extends Tab {
  readonly app: App;
  readonly origin: string;
  readonly log: RecordedLog;
  readonly told: Told<AskedTurn>;
}

/** The page, and what a caller does with it. */
export class Playground {
  readonly tab: Page;
  readonly errors: string[];
  readonly app: App;
  readonly origin: string;
  readonly log: RecordedLog;
  /** All turns in which the agent was asked, in order. */
  readonly asked: readonly AskedTurn[];
  /** The next turn in which the agent is asked. */
  readonly nextAsked: () => Promise<AskedTurn>;
  #expected: RegExp[] = [];

  constructor({ tab, errors, app, origin, log, told }: PlaygroundParts) {
    this.tab = tab;
    this.errors = errors;
    this.app = app;
    this.origin = origin;
    this.log = log;
    this.asked = told.all;
    this.nextAsked = () => told.next(`the agent is asked for the ${told.all.length + 1}. time`);
  }

  /** Types into the field and strikes Enter. */
  async say(text: string): Promise<void> {
    await this.tab.type('#say', text);
    await this.strike('Enter');
  }

  /** Says the text, and waits until the agent is asked. */
  async asks(text: string): Promise<AskedTurn> {
    await this.say(text);
    return this.nextAsked();
  }

  /** Strikes keys one after the other, wherever the focus is: `Tab`, `Shift+Tab`. */
  async strike(...strokes: readonly (KeyInput | 'Shift+Tab')[]): Promise<void> {
    const { keyboard } = this.tab;
    for (const stroke of strokes) {
      if (stroke !== 'Shift+Tab') {
        await keyboard.press(stroke);
        continue;
      }
      await keyboard.down('Shift');
      await keyboard.press('Tab');
      await keyboard.up('Shift');
    }
  }

  /**
   * Waits for some words of a reply that has begun. Nothing tells when a word was heard: the
   * platform counts a fixed number a minute.
   */
  async hearSomeWords(): Promise<void> {
    await sleep(SOME_WORDS_MS);
  }

  async press(...ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.tab.locator(`#${id}`).click();
  }

  /** Says something, and waits for the beginning of the reply, which goes on. */
  async streams(text: string, reply: string): Promise<AskedTurn> {
    const asked = await this.asks(text);
    asked.say(reply);
    await this.shows('transcript', [`You: ${text}`, `Agent: ${reply} <streaming>`]);
    return asked;
  }

  /** Plays a turn to its end: what the caller says, and the whole reply. */
  async exchange(text: string, reply: string): Promise<void> {
    (await this.asks(text)).say(reply).end();
    await this.shows('transcript', [`You: ${text}`, `Agent: ${reply}`]);
    // the server has sent its figures
    await this.tab.waitForFunction(
      () => !document.querySelector('#timeline > tr:last-child')?.textContent?.includes('≈'),
    );
  }

  async view(): Promise<View> {
    return this.tab.evaluate(readView);
  }

  /** Waits until the part ends with these lines. */
  async shows(part: keyof View, lines: readonly (string | RegExp)[]): Promise<void> {
    const view = await this.tab.evaluateHandle(`(${String(readView)})`) as JSHandle<() => View>;
    try {
      await this.tab.waitForFunction(
        (read, name, patterns) => {
          const last = read()[name].slice(-patterns.length);
          return last.length === patterns.length && patterns.every(
            ({ source, flags }, index) => new RegExp(source, flags).test(last[index] ?? ''),
          );
        },
        {}, view, part, lines.map(patternOf),
      );
    } catch (error) {
      const shown = (await this.view())[part];
      throw new Error(
        `the ${part} shows\n${shown.join('\n')}\nand should end with\n${lines.join('\n')}`,
        { cause: error },
      );
    }
  }

  /** The text of the first matching element, as it is displayed. */
  async text(css: string): Promise<string> {
    return this.tab.$eval(css, (element) =>
      (element as HTMLElement).innerText.replaceAll(/\n+/g, '\n').trim());
  }

  /** Waits until the first matching element has this text. */
  async becomes(css: string, text: string | RegExp): Promise<void> {
    try {
      await this.tab.waitForFunction(
        (selector, { source, flags }) => {
          const element = document.querySelector<HTMLElement>(selector);
          const shown = element?.innerText.replaceAll(/\n+/g, '\n').trim();
          return shown !== undefined && new RegExp(source, flags).test(shown);
        },
        {}, css, patternOf(text),
      );
    } catch (error) {
      const shown = JSON.stringify(await this.text(css));
      throw new Error(`${css} is ${shown} and should be ${text}`, { cause: error });
    }
  }

  async isDisplayed(css: string): Promise<boolean> {
    return this.tab.$eval(css, (element) => element.checkVisibility());
  }

  /** The id of the element that has the keyboard. */
  async focusedId(): Promise<string | undefined> {
    return this.tab.evaluate(() => document.activeElement?.id);
  }

  /** Announces errors in the console that the test provokes. */
  expectError(...errors: readonly RegExp[]): void {
    this.#expected.push(...errors);
  }

  /** Leaves the page, so that it does not complain when the server ends, and ends the server. */
  async close(): Promise<void> {
    try {
      await this.tab.browserContext().close();
    } finally {
      await this.app.close();
    }
    const isExpected = (error: string): boolean =>
      this.#expected.some((expected) => expected.test(error));
    assert.deepEqual(this.errors.filter((error) => !isExpected(error)), [], 'errors of the page');
  }
}

/** A pattern as the page can get it: a `RegExp` cannot be passed. */
function patternOf(text: string | RegExp): Pick<RegExp, 'source' | 'flags'> {
  if (typeof text !== 'string') return { source: text.source, flags: text.flags };
  return { source: `^${text.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&')}$`, flags: '' };
}

/** A test, or whoever else closes what it opened. */
export interface Closing {
  after(close: () => Promise<void>): void;
}

/**
 * Serves an agent with its playground for the length of a test, and opens it. The test fails if
 * there are errors in the console.
 */
export async function openPlayground(
  t: Closing,
  browser: Browser,
  { agent, ...options }: PlaygroundOptions = {},
): Promise<Playground> {
  const told = new Told<AskedTurn>();
  const played = defineAgent({
    name: 'tested',
    welcome: WELCOME,
    ...agent,
    onMessage(turn, reply) {
      const next = new AskedTurn(turn, reply);
      told.tell(next);
      return next.over;
    },
  });
  const page = await openPlaygroundOf(t, browser, played, { ...options, told });
  // the last thing that happens by itself
  if (options.path !== false) await page.shows('history', [`assistant: ${WELCOME}`]);
  return page;
}

/** The same, with agents that speak without the test. */
export async function openPlaygroundOf(
  t: Closing,
  browser: Browser,
  agent: Agent | NamedAgents,
  { path = '/playground', script, told = new Told() }: ServingOptions = {},
): Promise<Playground> {
  const log = recordLog();
  const { tab, errors } = await openTab(browser);
  if (script !== undefined) await tab.evaluateOnNewDocument(script);
  const { app, origin } = await serveWithPlayground(agent, { log });
  const page = new Playground({ tab, errors, app, origin, log, told });
  t.after(() => page.close());
  if (path !== false) await page.tab.goto(origin + path);
  return page;
}

interface ServingOptions extends Pick<PlaygroundOptions, 'path' | 'script'> {
  readonly told?: Told<AskedTurn>;
}

/** The caller must close the app. */
export async function serveWithPlayground(
  agent: Agent | NamedAgents,
  { log = recordLog(), port = 0 }: {
    readonly log?: RecordedLog;
    /** Default: a free port. */
    readonly port?: number;
  } = {},
): Promise<Pick<Playground, 'app' | 'origin'>> {
  const platform = new LocalPlatform({ playground: true });
  const app = createApp(settingsWith(), agent, { log: log.log, platform });
  const address = await app.listen({ host: '127.0.0.1', port });
  return { app, origin: `http://127.0.0.1:${address.port}` };
}

/** A `script` that makes the page see this answer from `/ready`. */
export function seesReady(ready: object): string {
  return `{ const { fetch } = globalThis; globalThis.fetch = (url, ...rest) =>
    url === '/ready'
      ? Promise.resolve(new Response(${JSON.stringify(JSON.stringify(ready))}))
      : fetch(url, ...rest); }`;
}
