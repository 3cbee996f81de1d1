// The playground in a real browser, a server behind it, and an agent whose part the test plays:
// nothing is said before the test says it.

import assert from 'node:assert/strict';

import type { Agent, MessageTurn, ModelUsage } from '../../src/agents/agent.ts';
import type { Reply } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import type { App } from '../../src/app/app.ts';
import { createApp, type NamedAgents } from '../../src/app/create-app.ts';
import type { Json, JsonObject } from '../../src/base/json.ts';
import type { Middleware } from '../../src/http/compose.ts';
import { LocalPlatform } from '../../src/kit/platform/local-platform.ts';
import { fired, within } from '../fixtures/app.ts';
import { deferred, recordLog, settingsWith, type RecordedLog } from '../fixtures/kernel.ts';
import type { Browser } from './webdriver.ts';

export const WELCOME = 'Hi!';
/** Some 14 seconds of speech. */
export const LONG =
  'The night train leaves at ten past eleven from platform four, and stops in Ghent, Bruges and ' +
  'Ostend, where a boat waits for its travellers until the last of them has come on board and ' +
  'the lights of the harbour have gone out.';

/** In which some words are heard, and not many: 170 in a minute. */
const SOME_WORDS_MS = 1_000;

/** One time that the agent was asked: the caller's words, and the reply that the test gives. */
export class AskedTurn {
  readonly text: string;
  readonly event: Readonly<Record<string, unknown>>;
  readonly over: Promise<void>;
  readonly end: () => void;
  readonly #turn: MessageTurn;
  readonly #reply: Reply;
  readonly #fail: (error: Error) => void;

  constructor(turn: MessageTurn, reply: Reply) {
    this.#turn = turn;
    this.#reply = reply;
    this.text = turn.text;
    this.event = { ...turn.event };
    const ended = deferred();
    const failed = deferred<Error>();
    this.end = ended.resolve;
    this.#fail = failed.resolve;
    this.over = Promise.race([
      ended.promise,
      failed.promise.then((error) => Promise.reject(error)),
    ]);
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
    this.#fail(new Error(message));
  }

  /** Waits until the agent is told that nobody listens any more. */
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

  /** What the platform told of an interruption; undefined where it told of none. */
  get interruption(): JsonObject | undefined {
    return this.event['interruption_context'] as JsonObject | undefined;
  }
}

/** Parts of the page as lines of text. */
export interface View {
  /**
   * `You: …`; `Agent: …`, with `~…~` around what was not heard and the mark behind it in `<…>`;
   * `good notice: …`, also bad and plain ones.
   */
  readonly transcript: readonly string[];
  /** `1 Hello: completed` */
  readonly turns: readonly string[];
  /** `user: Hello` */
  readonly history: readonly string[];
  /** Those that the filter lets through: `→ message Hello`, `← HTTP 200`. */
  readonly events: readonly string[];
  readonly announced: readonly string[];
  /** As text, newest first. */
  readonly data: readonly string[];
}

/** The body of a function that returns the `View`. */
const VIEW = `
  const all = (css, root = document) => [...root.querySelectorAll(css)];
  const text = (element) => element.textContent.replace(/\\s+/g, ' ').trim();
  const words = (entry) => {
    const copy = entry.querySelector('[data-text]').cloneNode(true);
    for (const unheard of all('s.unheard', copy)) {
      for (const hidden of all('.sr-only', unheard)) hidden.remove();
      unheard.replaceWith('~' + unheard.textContent + '~');
    }
    return copy.textContent;
  };
  const said = (entry) => {
    const { role, kind, state } = entry.dataset;
    if (role === 'notice') return kind + ' notice: ' + words(entry);
    if (role === 'user') return 'You: ' + words(entry);
    const mark = entry.querySelector('.mark').textContent || (state === 'completed' ? '' : state);
    const speaker = text(entry.querySelector('.speaker'));
    return speaker + ': ' + words(entry) + (mark === '' ? '' : ' <' + mark + '>');
  };
  return {
    transcript: all('#transcript > [data-role]').map(said),
    turns: all('#timeline > tr').map((row) => text(row.cells[0]) + ': ' + text(row.querySelector('td.outcome'))),
    history: all('#history > [data-role]').map((entry) => entry.dataset.role + ': ' + all('[data-text], .tool', entry).map(text).join(' ')),
    events: all('#events > li').filter((row) => row.checkVisibility())
      .map((row) => ['.frame-arrow', '.frame-what', '.frame-preview'].map((css) => text(row.querySelector(css))).join(' ').trim()),
    announced: all('#announcer > *').map(text),
    data: all('#data > li').map(text),
  };
`;

export interface PlaygroundOptions {
  /**
   * Hooks and texts of the agent, whose welcome is `WELCOME` else. Its `onMessage` is the test's.
   */
  readonly agent?: Partial<Omit<Agent, 'onMessage'>>;
  /** The path that is opened, or none. Default `/playground`. */
  readonly path?: string | false;
  /** What the browser runs before the page's own script. */
  readonly script?: string | undefined;
}

type PlaygroundParts = Pick<Playground, 'browser' | 'app' | 'origin'> &
  Partial<Pick<Playground, 'log' | 'asked'>>;

/** The page, and what a caller does with it. */
export class Playground {
  readonly browser: Browser;
  readonly app: App;
  readonly origin: string;
  readonly log: RecordedLog;
  /** All that the agent was asked, in order. */
  readonly asked: readonly AskedTurn[];
  #taken = 0;
  #expected: RegExp[] = [];

  constructor({ browser, app, origin, log = recordLog(), asked = [] }: PlaygroundParts) {
    this.browser = browser;
    this.app = app;
    this.origin = origin;
    this.log = log;
    this.asked = asked;
  }

  /** Types into the field and strikes Enter. */
  async say(text: string): Promise<void> {
    await this.browser.type('#say', text);
    await this.browser.keys('Enter');
  }

  /**
   * Some words of a reply that has begun: nothing tells that a word was heard, for the platform
   * counts so many a minute.
   */
  async hearSomeWords(): Promise<void> {
    const untilMs = performance.now() + SOME_WORDS_MS;
    await this.browser.until('some words were heard', async () => performance.now() >= untilMs);
  }

  async press(...ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.browser.click(`#${id}`);
  }

  /** The next time that the agent is asked. */
  async nextAsked(): Promise<AskedTurn> {
    const index = this.#taken++;
    return this.browser.until(
      `the agent is asked for the ${index + 1}. time`,
      async () => this.asked[index],
    );
  }

  /** A turn to its end: what the caller says, and the whole reply. */
  async exchange(text: string, reply: string): Promise<void> {
    await this.say(text);
    (await this.nextAsked()).say(reply).end();
    await this.shows('transcript', [`You: ${text}`, `Agent: ${reply}`]);
    const isTold = `return !document.querySelector('#timeline > tr:last-child').textContent.includes('≈')`;
    await this.browser.until('the server has told its figures', () =>
      this.browser.run<boolean>(isTold),
    );
  }

  async view(): Promise<View> {
    return this.browser.run<View>(VIEW);
  }

  /** Waits until the part ends with these lines, at most 5 s. */
  async shows(part: keyof View, lines: readonly (string | RegExp)[]): Promise<void> {
    let shown: readonly string[] = [];
    try {
      await this.browser.until(`the ${part} shows ${lines.join(' | ')}`, async () => {
        shown = (await this.view())[part];
        const last = shown.slice(-lines.length);
        return (
          last.length === lines.length &&
          lines.every((line, index) => matches(line, last[index] ?? ''))
        );
      });
    } catch (error) {
      throw new Error(
        `the ${part} shows\n${shown.join('\n')}\nand should end with\n${lines.join('\n')}`,
        { cause: error },
      );
    }
  }

  /** The first element with that text. */
  async becomes(css: string, text: string | RegExp): Promise<void> {
    let shown = '';
    try {
      await this.browser.until(`${css} is ${text}`, async () =>
        matches(text, (shown = await this.browser.text(css))),
      );
    } catch (error) {
      throw new Error(`${css} is ${JSON.stringify(shown)} and should be ${text}`, { cause: error });
    }
  }

  /** The id of the element that has the keyboard. */
  async focusedId(): Promise<string> {
    return this.browser.run('return document.activeElement.id');
  }

  /** The test provokes an error of the console. */
  expectError(...errors: readonly RegExp[]): void {
    this.#expected.push(...errors);
  }

  /** Fails where the console has an error that is not expected. */
  async checkConsole(): Promise<void> {
    const errors = await this.browser.consoleErrors();
    assert.deepEqual(
      errors.filter((error) => !this.#expected.some((expected) => expected.test(error))),
      [],
      'the console has errors',
    );
  }
}

function matches(expected: string | RegExp, text: string): boolean {
  return typeof expected === 'string' ? text === expected : expected.test(text);
}

/** A test, or whoever else closes what it opened. */
export interface Closing {
  after(close: () => Promise<void>): void;
}

/**
 * Serves an agent with its playground for the length of a test, and opens it. The test fails where
 * the console has errors.
 */
export async function openPlayground(
  t: Closing,
  browser: Browser,
  options: PlaygroundOptions = {},
): Promise<Playground> {
  const { agent, path = '/playground', script } = options;
  const asked: AskedTurn[] = [];
  const log = recordLog();
  const played = defineAgent({
    name: 'tested',
    welcome: WELCOME,
    ...agent,
    onMessage(turn, reply) {
      const next = new AskedTurn(turn, reply);
      asked.push(next);
      return next.over;
    },
  });
  const { app, origin } = await serveWithPlayground(played, { log, script });
  const playground = new Playground({ browser, app, origin, log, asked });
  t.after(async () => {
    try {
      await playground.checkConsole();
      // a page that is left does not complain of the server's end
      await browser.open('about:blank');
    } finally {
      // also where the check fails: a server that listens keeps the process alive
      await app.close();
    }
  });
  if (path === false) return playground;
  await browser.open(origin + path);
  // which is the last that happens by itself
  await playground.shows('history', [`assistant: ${WELCOME}`]);
  return playground;
}

export interface ServingOptions extends Pick<PlaygroundOptions, 'script'> {
  readonly log?: RecordedLog;
  /** Default a free one. */
  readonly port?: number;
}

/** Whoever calls it has to close the app. */
export async function serveWithPlayground(
  agent: Agent | NamedAgents,
  options: ServingOptions = {},
): Promise<Pick<Playground, 'app' | 'origin'>> {
  const { log = recordLog(), script, port: wantedPort = 0 } = options;
  const platform = new LocalPlatform({ playground: true });
  const app = createApp(settingsWith(), agent, { log: log.log, platform });
  if (script !== undefined) app.use(before(script));
  const { port } = await app.listen({ host: '127.0.0.1', port: wantedPort });
  return { app, origin: `http://127.0.0.1:${port}` };
}

/**
 * Puts another script in the place of the page's, from where the page's policy lets it come, which
 * then loads that.
 */
function before(script: string): Middleware {
  return function before(context, next) {
    if (context.path !== '/playground/page.js' || context.query !== '') return next();
    return context.text(
      200,
      `${script}\nawait import('/playground/page.js?itself');`,
      'text/javascript',
    );
  };
}
