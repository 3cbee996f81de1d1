import { AsyncLocalStorage } from 'node:async_hooks';

import type { Scenario } from './scenario.ts';

/** How many milliseconds the clock is ahead for the work that is running. */
const ahead = new AsyncLocalStorage<number>();
const RealDate = Date;
let openClocks = 0;

/**
 * How far the clock of the scenario is ahead as its call begins. Undefined: it shows the true time.
 */
export function aheadOf({ clock }: Pick<Scenario, 'clock'>): number | undefined {
  if (clock === undefined) return undefined;
  return RealDate.parse(`${clock.date ?? today()}T${clock.time}`) - RealDate.now();
}

/**
 * A clock that is ahead for the work that it runs. Other scenarios in the process have clocks of
 * their own. Once the last clock is closed, `Date` is what it was. Undefined: the true clock.
 */
export function shiftedClock(aheadMs: number | undefined) {
  let isOpen = aheadMs !== undefined;
  if (isOpen) {
    openClocks += 1;
    globalThis.Date = ShiftedDate;
  }
  return {
    run: <T>(work: () => T): T => (aheadMs === undefined ? work() : ahead.run(aheadMs, work)),
    close(): void {
      if (!isOpen) return;
      isOpen = false;
      openClocks -= 1;
      if (openClocks === 0 && globalThis.Date === ShiftedDate) globalThis.Date = RealDate;
    },
  };
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
