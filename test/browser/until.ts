// Waiting for what nothing tells of.

import { setTimeout as sleep } from 'node:timers/promises';

import { WebDriverError } from './chromedriver.ts';

const UNTIL_MS = 5_000;
const POLL_MS = 25;

/** What a page that is still changing answers for a moment. */
const PASSING: readonly string[] = [
  'no such element',
  'stale element reference',
  'element not interactable',
  'element click intercepted',
];

/**
 * The condition's first value that is not false, null or undefined. Asked again every 25 ms, as
 * WebDriver has no events; an element that is not there yet, or was replaced meanwhile, counts as
 * false. Rejects after `ms` (default 5,000) with the description and what stood in the way last.
 */
export async function until<T>(
  description: string,
  condition: () => Promise<T | false | null | undefined>,
  ms = UNTIL_MS,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ms);
  const lateness = new Promise<undefined>((resolve) =>
    late.signal.addEventListener('abort', () => resolve(undefined)),
  );
  let obstacle: WebDriverError | undefined;
  try {
    while (!late.signal.aborted) {
      try {
        // The condition may hang, and is left behind then.
        const value = await Promise.race([condition(), lateness]);
        if (value !== false && value !== null && value !== undefined) return value;
        if (!late.signal.aborted) obstacle = undefined;
      } catch (error) {
        if (!(error instanceof WebDriverError && PASSING.includes(error.code))) throw error;
        obstacle = error;
      }
      await Promise.race([sleep(POLL_MS), lateness]);
    }
  } finally {
    clearTimeout(timer);
  }
  const message = `waited ${ms} ms in vain: ${description}`;
  throw obstacle === undefined
    ? new Error(message)
    : new Error(`${message} (${obstacle.message})`, { cause: obstacle });
}
