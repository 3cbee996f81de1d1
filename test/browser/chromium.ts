// Headless Chromium, driven by puppeteer-core from test/peers, and what its pages complain about.

import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { after } from 'node:test';

import type { Browser, Page, Viewport } from 'puppeteer-core';

import { newFolder } from '../fixtures/folder.ts';
import { PEERS } from '../fixtures/pages.ts';
import { ROOT } from '../fixtures/source-files.ts';

const require = createRequire(join(PEERS, 'package.json'));
const { default: puppeteer } = require('puppeteer-core') as typeof import('puppeteer-core');

/** How long to wait for what a page should show. Long, because others may be using the machine. */
const WAIT_MS = 10_000;
const ARGS = [
  '--no-sandbox', // root and most containers lack the rights for one
  '--disable-gpu',
  '--disable-quic',
  '--lang=en',
  // A page that needs the network fails everywhere, not only where there is none.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]',
];

/** Starts the browser of a test file, and closes it after the tests. */
export async function launchChromium(args: readonly string[] = []): Promise<Browser> {
  // For downloads, caches and crash reports.
  const home = newFolder();
  const browser = await puppeteer.launch({
    executablePath: process.env['CHROMIUM'] || '/usr/bin/chromium',
    env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
    pipe: true,
    defaultViewport: { width: 1_280, height: 900 },
    args: [...ARGS, ...args],
  });
  after(() => browser.close());
  return browser;
}

export interface Tab {
  readonly tab: Page;
  /** What went wrong in the tab: exceptions, `console.error`, and what could not be loaded. */
  readonly errors: string[];
}

/** A tab that shares nothing with others. Closing its context closes it. */
export async function openTab(browser: Browser): Promise<Tab> {
  const context = await browser.createBrowserContext();
  const tab = await context.newPage();
  tab.setDefaultTimeout(WAIT_MS);
  const errors: string[] = [];
  tab.on('console', (message) => {
    if (message.type() !== 'error') return;
    errors.push(`${message.location().url ?? ''} ${message.text()}`);
  });
  tab.on('pageerror', (error) => errors.push(String(error)));
  return { tab, errors };
}

/** Like `setViewport`, which would load the page again. */
export async function emulatePhone(
  tab: Page,
  { width, height }: Pick<Viewport, 'width' | 'height'>,
): Promise<void> {
  const devtools = await tab.createCDPSession();
  const screen = { width, height, deviceScaleFactor: 2, mobile: true };
  await devtools.send('Emulation.setDeviceMetricsOverride', screen);
  await devtools.send('Emulation.setTouchEmulationEnabled', { enabled: true });
}

/**
 * The file for a picture: `<name>.png` in the folder that the variable ARTEFACTS names, by default
 * `artefacts` in the repository. Makes the folder.
 */
export function artefact(name: string): `${string}.png` {
  const folder = resolve(ROOT, process.env['ARTEFACTS'] || 'artefacts');
  mkdirSync(folder, { recursive: true });
  return `${join(folder, name)}.png`;
}
