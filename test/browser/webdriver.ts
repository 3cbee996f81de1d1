// A browser for tests: headless Chromium behind ChromeDriver, which speaks plain HTTP. Ruled by https://www.w3.org/TR/webdriver2/ and,
// for what WebDriver has no command for, by https://chromedevtools.github.io/devtools-protocol/

import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach } from 'node:test';

import { inDocumentOrder, type AccessibleNode, type DevtoolsNode } from './accessibility.ts';
import { atExit } from './at-exit.ts';
import { ChromeDriver, PortTakenError } from './chromedriver.ts';
import { keyActions } from './keys.ts';
import { PageElement, type Command, type ElementReference } from './page-element.ts';
import { until } from './until.ts';

export type { AccessibleNode } from './accessibility.ts';
export { WebDriverError } from './chromedriver.ts';
export { PageElement } from './page-element.ts';
export { until } from './until.ts';

export interface Size {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
}

export interface BrowserOptions {
  /** Of the page, without the window's frame. Default 1280 × 800. */
  readonly size?: Size;
  /** Further arguments of Chromium, for instance `--use-fake-device-for-media-stream`. */
  readonly args?: readonly string[];
}

export interface Media {
  readonly colorScheme?: 'light' | 'dark';
  readonly reducedMotion?: boolean;
}

export interface Phone extends Size {
  /** Device pixels per CSS pixel. Default 2. */
  readonly scale?: number;
}

export interface ScreenshotOptions {
  /** Whether all of the page is drawn, or what is in view. Default true. */
  readonly isFullPage?: boolean;
}

const DEFAULT_SIZE: Size = { width: 1_280, height: 800 };
const MAX_START_ATTEMPTS = 5;
const TIMEOUTS = { implicit: 0, pageLoad: 30_000, script: 30_000 };
/** Chromium draws no larger picture; a page that is longer is cut off there. */
const MAX_PICTURE_PIXELS = 16_384;

const ARGS: readonly string[] = [
  '--headless=new',
  '--no-sandbox', // which root and most containers lack the rights for
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--mute-audio',
  '--lang=en',
  '--hide-scrollbars', // which would take their width from the page
  // A page that needs the world fails everywhere, and not only where the world is out of reach.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]',
];

interface Session {
  readonly driver: ChromeDriver;
  /** `/session/<id>` */
  readonly path: string;
}

/**
 * A browser with one page in it. Every method rejects with a `WebDriverError` where WebDriver
 * refuses.
 */
export class Browser {
  readonly #size: Size;
  readonly #args: readonly string[];
  #session: Session | undefined;
  /** Ends what `start` began, also half-way. */
  #clear: (() => Promise<void>) | undefined;
  #media: Media = {};

  constructor({ size = DEFAULT_SIZE, args = [] }: BrowserOptions = {}) {
    this.#size = size;
    this.#args = args;
  }

  /**
   * Starts Chromium with a profile of its own. Where that fails nothing is left behind, and the
   * error says why.
   */
  async start(): Promise<void> {
    if (this.#clear !== undefined) throw new Error('the browser runs already');
    const chromedriver = executable('CHROMEDRIVER', '/usr/bin/chromedriver');
    const binary = executable('CHROMIUM', '/usr/bin/chromium');
    // Profile, caches and crash reports, all in one place.
    const directory = mkdtempSync(join(tmpdir(), 'browser-'));
    const places = {
      HOME: directory,
      TMPDIR: directory,
      XDG_CONFIG_HOME: directory,
      XDG_CACHE_HOME: directory,
    };
    const env = { ...process.env, ...places, LANGUAGE: 'en' };
    let driver = new ChromeDriver(chromedriver, env);
    const kill = (): void => {
      driver.kill();
      rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    };
    const takeBack = atExit(kill);
    this.#clear = async () => {
      kill();
      await driver.exit;
      takeBack();
    };
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          await driver.listen();
          break;
        } catch (error) {
          // The driver picks a port that is free in IPv6 and wants the same in IPv4, where it is
          // taken once in some hundred starts.
          if (!(error instanceof PortTakenError) || attempt === MAX_START_ATTEMPTS) throw error;
          driver = new ChromeDriver(chromedriver, env);
        }
      }
      const args = [
        ...ARGS,
        `--user-data-dir=${join(directory, 'profile')}`,
        `--window-size=${this.#size.width},${this.#size.height}`,
      ];
      const { sessionId } = await driver.command<{ sessionId: string }>('POST', '/session', {
        capabilities: {
          alwaysMatch: {
            browserName: 'chrome',
            timeouts: TIMEOUTS,
            'goog:loggingPrefs': { browser: 'ALL' },
            'goog:chromeOptions': { binary, args: [...args, ...this.#args] },
          },
        },
      });
      this.#session = { driver, path: `/session/${sessionId}` };
      await this.setWindowSize(this.#size.width, this.#size.height);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * Ends the browser and removes its profile, whatever became of it. Nothing happens where it does
   * not run.
   */
  async close(): Promise<void> {
    const clear = this.#clear;
    this.#session = undefined;
    this.#clear = undefined;
    this.#media = {};
    await clear?.();
  }

  /**
   * A blank page in a browser that remembers nothing: storage, emulation, errors and size are as at
   * the start.
   */
  async reset(): Promise<void> {
    const handles = await this.#command<string[]>('GET', '/window/handles');
    const { handle } = await this.#command<{ handle: string }>('POST', '/window/new', {
      type: 'tab',
    });
    for (const old of handles) {
      await this.#command('POST', '/window', { handle: old });
      await this.#command('DELETE', '/window');
    }
    await this.#command('POST', '/window', { handle });
    await this.#devtools('Storage.clearDataForOrigin', { origin: '*', storageTypes: 'all' });
    this.#media = {};
    await this.setWindowSize(this.#size.width, this.#size.height);
    await this.consoleErrors();
  }

  /** Resolves when the page has loaded, at most 30 s. */
  async open(url: string): Promise<void> {
    await this.#command('POST', '/url', { url });
  }

  async url(): Promise<string> {
    return this.#command('GET', '/url');
  }

  async title(): Promise<string> {
    return this.#command('GET', '/title');
  }

  async reload(): Promise<void> {
    await this.#command('POST', '/refresh', {});
  }

  /**
   * The first element of the page as it is now: what is yet to come is awaited with `appears` or
   * `until`.
   */
  async find(css: string): Promise<PageElement> {
    const reference = await this.#command<ElementReference>('POST', '/element', {
      using: 'css selector',
      value: css,
    });
    return this.#element(reference, css);
  }

  async findAll(css: string): Promise<PageElement[]> {
    const references = await this.#command<ElementReference[]>('POST', '/elements', {
      using: 'css selector',
      value: css,
    });
    return references.map((reference, index) => this.#element(reference, `${css} [${index}]`));
  }

  /** The first element, as soon as there is one and it is displayed. */
  appears(css: string, ms?: number): Promise<PageElement> {
    return this.until(
      `${css} is displayed`,
      async () => {
        const element = await this.find(css);
        return (await element.isDisplayed()) && element;
      },
      ms,
    );
  }

  /** The element that has the keyboard; the body where none has. */
  async focused(): Promise<PageElement> {
    return this.#element(
      await this.#command<ElementReference>('GET', '/element/active'),
      'the focused element',
    );
  }

  async click(css: string): Promise<void> {
    await (await this.find(css)).click();
  }

  async type(css: string, text: string): Promise<void> {
    await (await this.find(css)).type(text);
  }

  async text(css: string): Promise<string> {
    return (await this.find(css)).text();
  }

  /**
   * Strikes keys one after the other, wherever the focus is: `keys('Tab', 'Shift+Tab', 'Enter',
   * 'a')`.
   */
  async keys(...strokes: readonly string[]): Promise<void> {
    const actions = strokes.flatMap(keyActions);
    await this.#command('POST', '/actions', {
      actions: [{ type: 'key', id: 'keyboard', actions }],
    });
  }

  /**
   * Runs the body of a function in the page and returns what it returns, as JSON; `arguments` are
   * those given, elements among them. `run('return document.title')`.
   */
  async run<T = unknown>(script: string, ...args: readonly unknown[]): Promise<T> {
    return this.#command('POST', '/execute/sync', { script, args });
  }

  /** The same for the body of an async function, with `await` in it, at most 30 s. */
  async runAsync<T = unknown>(script: string, ...args: readonly unknown[]): Promise<T> {
    return this.run(`return (async function () {\n${script}\n}).apply(null, arguments);`, ...args);
  }

  /**
   * Gives the page exactly this size, whatever frame the window has around it, and ends
   * `emulatePhone`.
   */
  async setWindowSize(width: number, height: number): Promise<void> {
    await this.#devtools('Emulation.clearDeviceMetricsOverride');
    await this.#devtools('Emulation.setTouchEmulationEnabled', { enabled: false });
    // The frame is what the page lacks. `outerWidth` does not tell it: that is never below 500, and
    // the page may be.
    let frame: Size = { width: 0, height: 0 };
    await this.until(`the page is ${width} × ${height}`, async () => {
      await this.#command('POST', '/window/rect', {
        width: width + frame.width,
        height: height + frame.height,
      });
      const page = await this.run<Size>('return { width: innerWidth, height: innerHeight }');
      frame = {
        width: frame.width + width - page.width,
        height: frame.height + height - page.height,
      };
      return page.width === width && page.height === height;
    });
  }

  /**
   * A phone's screen: its width, its density, its fingers. Lasts until `setWindowSize` or `reset`.
   */
  async emulatePhone({ width, height, scale = 2 }: Phone): Promise<void> {
    await this.#devtools('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: scale,
      mobile: true,
    });
    await this.#devtools('Emulation.setTouchEmulationEnabled', { enabled: true });
  }

  /**
   * What the page learns of the user's wishes. What is not named stays as it was; lasts over pages,
   * until `reset`.
   */
  async emulate(media: Media): Promise<void> {
    this.#media = { ...this.#media, ...media };
    const { colorScheme, reducedMotion } = this.#media;
    // An empty value takes an emulation back.
    const features = [
      { name: 'prefers-color-scheme', value: colorScheme ?? '' },
      {
        name: 'prefers-reduced-motion',
        value: reducedMotion === undefined ? '' : reducedMotion ? 'reduce' : 'no-preference',
      },
    ];
    await this.#devtools('Emulation.setEmulatedMedia', { features });
  }

  /**
   * Writes a PNG and returns its path. Its size is the page's in device pixels, at most 16,384 of
   * them high.
   */
  async screenshot(path: string, { isFullPage = true }: ScreenshotOptions = {}): Promise<string> {
    const { cssContentSize, cssLayoutViewport } =
      await this.#devtools<LayoutMetrics>('Page.getLayoutMetrics');
    const scale = await this.run<number>('return devicePixelRatio');
    const height = Math.min(cssContentSize.height, Math.floor(MAX_PICTURE_PIXELS / scale));
    const page = { x: 0, y: 0, width: cssLayoutViewport.clientWidth, height, scale: 1 };
    const options = isFullPage ? { captureBeyondViewport: true, clip: page } : {};
    const { data } = await this.#devtools<{ data: string }>('Page.captureScreenshot', {
      format: 'png',
      ...options,
    });
    await writeFile(path, data, 'base64');
    return path;
  }

  /**
   * What went wrong in the page since the last call: exceptions, `console.error`, and what could
   * not be loaded.
   */
  async consoleErrors(): Promise<string[]> {
    const entries = await this.#command<{ level: string; message: string }[]>('POST', '/se/log', {
      type: 'browser',
    });
    return entries.filter(({ level }) => level === 'SEVERE').map(({ message }) => message);
  }

  /** The page as a screen reader has it, in the order of the document. */
  async accessibilityTree(): Promise<AccessibleNode[]> {
    const { nodes } = await this.#devtools<{ nodes: DevtoolsNode[] }>(
      'Accessibility.getFullAXTree',
    );
    return inDocumentOrder(nodes);
  }

  /** `until` of until.ts, where it is at hand. */
  until<T>(
    description: string,
    condition: () => Promise<T | false | null | undefined>,
    ms?: number,
  ): Promise<T> {
    return until(description, condition, ms);
  }

  #element(reference: ElementReference, description: string): PageElement {
    return new PageElement(reference, description, (method, path, body, about) =>
      this.#command(method, path, body, about),
    );
  }

  async #command<T>(...[method, path, body, about]: Parameters<Command>): Promise<T> {
    if (this.#session === undefined) {
      throw new Error(
        'the browser does not run: it is started by `start`, and closed after the tests',
      );
    }
    const { driver, path: session } = this.#session;
    return driver.command<T>(method, session + path, body, about);
  }

  async #devtools<T = unknown>(cmd: string, params: object = {}): Promise<T> {
    return this.#command('POST', '/goog/cdp/execute', { cmd, params }, cmd);
  }
}

/** A browser for one test: `const browser = await openBrowser(t)`. Closed with the test. */
export async function openBrowser(
  t: { after(close: () => Promise<void>): void },
  options?: BrowserOptions,
): Promise<Browser> {
  const browser = new Browser(options);
  t.after(() => browser.close());
  await browser.start();
  return browser;
}

/**
 * One browser for the tests of a `describe`: `const browser = sharedBrowser()` in its function.
 * Started before the first test, reset before each, closed after the last.
 */
export function sharedBrowser(options?: BrowserOptions): Browser {
  const browser = new Browser(options);
  before(() => browser.start());
  beforeEach(() => browser.reset());
  after(() => browser.close());
  return browser;
}

interface LayoutMetrics {
  readonly cssContentSize: Size;
  readonly cssLayoutViewport: { readonly clientWidth: number };
}

function executable(variable: string, usual: string): string {
  const path = process.env[variable] || usual;
  try {
    accessSync(path, constants.X_OK);
  } catch (cause) {
    throw new Error(
      `cannot run ${path}: apt-get install chromium chromium-driver, or name another in ${variable}`,
      { cause },
    );
  }
  return path;
}
