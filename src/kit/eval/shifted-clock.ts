import { AsyncLocalStorage } from 'node:async_hooks';

import type { Scenario } from './scenario.ts';

/** By how many milliseconds the clock is ahead, for the work that runs now. */
const ahead = new AsyncLocalStorage<number>();
const RealDate = Date;

/**
 * Runs work for which `Date` goes on from the scenario's time. Others that the process plays
 * meanwhile have times of their own.
 */
export function clockOf({ clock }: Pick<Scenario, 'clock'>): <T>(work: () => T) => T {
  if (clock === undefined) return (work) => work();
  globalThis.Date = ShiftedDate;
  const start = RealDate.parse(`${clock.date ?? today()}T${clock.time}`);
  const aheadMs = start - RealDate.now();
  return (work) => ahead.run(aheadMs, work);
}

function today(): string {
  const date = new RealDate();
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()]
    .map((part) => String(part).padStart(2, '0')).join('-');
}

const now = (): number => RealDate.now() + (ahead.getStore() ?? 0);

const ShiftedDate = new Proxy(RealDate, {
  apply: () => new RealDate(now()).toString(),
  construct: (target, given, type) =>
    Reflect.construct(target, given.length === 0 ? [now()] : given, type) as object,
  get: (target, name, receiver) =>
    name === 'now' ? now : Reflect.get(target, name, receiver) as unknown,
});
