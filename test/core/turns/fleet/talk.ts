// A talk with a fleet: what callers, tools, processes and their store do, in order. It is made from
// a seed.

import { randomOf } from '../../../fixtures/random.ts';
import type { ToolFate } from '../talks.ts';

/** One step of an agent's model in a turn. The talk ends a `wait`. */
export type FleetOp =
  | { readonly do: 'say' | 'wait' | 'fail' | 'hand over' }
  | { readonly do: 'call'; readonly calls: readonly ToolUse[] };

/** `act` ends with its turn, `keep` does not. `pay` and `order` act once. */
export type ToolName = 'act' | 'keep' | 'pay' | 'order';

/** Calls with the same tool and number are the same call. */
export interface ToolUse {
  readonly tool: ToolName;
  readonly n: number;
}

/** `pick`, from 0 to 1, chooses among what there is. `at` is the place of a process. */
export type FleetEvent =
  | {
      readonly do: 'message';
      readonly at: number;
      readonly hasId: boolean;
      readonly ops: readonly FleetOp[];
      /** How much of the turn before was heard, from 0 to 1. Undefined if nobody says so. */
      readonly heard?: number | undefined;
    }
  | { readonly do: 'deliver again'; readonly at: number; readonly pick: number }
  | { readonly do: 'drop' | 'go on'; readonly pick: number }
  | {
      readonly do: 'store';
      readonly at: number;
      /** `unanswered`: the store does what it is asked, but its answers get lost. */
      readonly becomes: 'slow' | 'down' | 'unanswered' | 'well';
    }
  | { readonly do: 'lose'; readonly what: 'everything' | 'the last writes' | 'nothing yet' }
  | { readonly do: 'crash' | 'clear'; readonly at: number }
  | { readonly do: 'post'; readonly becomes: 'lost' | 'late' | 'well' };

/** An event, and the time that passes after it. */
export type FleetStep = FleetEvent & { readonly passesMs: number };

/** What goes wrong in a talk besides what callers and tools do. */
export const TROUBLES = ['slow', 'down', 'losses', 'crashes', 'post', 'clear', 'clocks'] as const;
export type Trouble = (typeof TROUBLES)[number];

export interface FleetTalk {
  readonly seed: number;
  readonly processes: number;
  readonly troubles: ReadonlySet<Trouble>;
  /** How many messages of a conversation are kept. */
  readonly maxMessages: number;
  /** How far ahead the clock of each process is. */
  readonly aheadMs: readonly number[];
  /** One for each call that begins, in order. */
  readonly fates: readonly ToolFate[];
  readonly steps: readonly FleetStep[];
}

const HOUR_MS = 3_600_000;
/** These have random numbers of their own, so that other talks stay what they were. */
const REPORTS = 0x5eed;
const TRIMMING = 0xc07;
/** A single turn can have eight or more. */
const FEW_MESSAGES = 12;

export function composeFleetTalk(seed: number): FleetTalk {
  const random = randomOf(seed);
  const chance = (part: number): boolean => random() < part;
  const below = (count: number): number => Math.floor(random() * count);
  const one = <T>(choices: readonly T[]): T => choices[below(choices.length)] as T;
  const report = randomOf(seed + REPORTS);
  const heard = (): number | undefined => (report() < 0.4 ? report() : undefined);
  const processes = 2 + below(2);
  const troubles = new Set(TROUBLES.filter(() => chance(0.22)));
  const at = (): number => below(processes);

  const op = (): FleetOp => {
    const kind = random();
    if (kind < 0.3) return { do: 'say' };
    if (kind < 0.45) return { do: 'wait' };
    if (kind < 0.49) return { do: 'fail' };
    if (kind < 0.57) return { do: 'hand over' };
    const use = (): ToolUse => ({
      tool: one(['act', 'keep', 'pay', 'pay', 'order'] as const),
      n: below(2),
    });
    return { do: 'call', calls: Array.from({ length: chance(0.3) ? 2 : 1 }, use) };
  };

  const trouble = (): FleetEvent | undefined => {
    switch (one([...troubles])) {
      case 'slow':
        return { do: 'store', at: at(), becomes: one(['slow', 'slow', 'well', 'well'] as const) };
      case 'down':
        return {
          do: 'store', at: at(), becomes: one(['down', 'unanswered', 'well', 'well'] as const),
        };
      case 'losses':
        return { do: 'lose', what: one(['everything', 'the last writes', 'nothing yet'] as const) };
      case 'crashes':
        return { do: 'crash', at: at() };
      case 'post':
        return { do: 'post', becomes: one(['lost', 'late', 'well'] as const) };
      case 'clear':
        return chance(0.5) ? { do: 'clear', at: at() } : undefined;
      case 'clocks':
      case undefined:
        return undefined;
    }
  };

  const usual = (): FleetEvent => {
    const kind = random();
    if (kind < 0.4) {
      const ops = Array.from({ length: below(4) }, op);
      const said = { at: at(), hasId: chance(0.85), ops: [...ops, { do: 'say' } as const] };
      return { do: 'message', ...said, heard: heard() };
    }
    if (kind < 0.55) return { do: 'deliver again', at: at(), pick: random() ** 2 };
    if (kind < 0.63) return { do: 'drop', pick: random() };
    return { do: 'go on', pick: random() };
  };

  const step = (): FleetStep => {
    const made = (troubles.size > 0 && chance(0.25) ? trouble() : undefined) ?? usual();
    const passesMs = chance(0.02) ? 121_000 : one([0, 0, 20, 110, 110, 260, 1_500]);
    return { ...made, passesMs };
  };

  const message = (place: number, passesMs: number): FleetStep => {
    const ops = [op(), op(), { do: 'say' }] as const;
    return { do: 'message', at: place, hasId: true, ops, heard: heard(), passesMs };
  };

  /** Steps that seldom meet by chance. */
  const meeting = (): FleetStep[] => {
    const [one, other] = [at(), at()];
    const soon = chance(0.5) ? 20 : 110;
    const again: FleetStep = { do: 'deliver again', at: other, pick: 0, passesMs: 0 };
    switch ([...troubles][below(troubles.size)]) {
      case 'slow': // a turn waits for its store, and another one overtakes it
        return [
          { do: 'store', at: one, becomes: 'slow', passesMs: 0 }, message(one, soon),
          message(other, 110), { do: 'store', at: one, becomes: 'well', passesMs: 0 },
        ];
      case 'crashes': // two turns ask a process that is gone
        return [
          message(one, 0), { do: 'crash', at: one, passesMs: 0 }, message(one, soon),
          message(other, 110),
        ];
      case 'post': // a process goes on with a turn that another one has taken over
        return [
          { do: 'post', becomes: 'lost', passesMs: 0 }, message(one, 0), again,
          { do: 'go on', pick: 0, passesMs: 0 },
        ];
      case 'losses': // the store forgets what both knew
        return [
          { do: 'lose', what: 'nothing yet', passesMs: 0 }, message(one, 0), again,
          { do: 'lose', what: 'the last writes', passesMs: 0 },
        ];
      default:
        return [message(one, 0), again];
    }
  };

  const steps: FleetStep[] = [];
  for (let left = 5 + below(16); left > 0; left--)
    steps.push(...(chance(0.06) ? meeting() : [step()]));

  return {
    seed,
    processes,
    troubles,
    maxMessages: randomOf(seed + TRIMMING)() < 0.2 ? FEW_MESSAGES : 200,
    aheadMs: Array.from({ length: processes }, () =>
      troubles.has('clocks') ? one([-HOUR_MS, 0, HOUR_MS]) : 0),
    fates: Array.from({ length: 16 }, () => ({
      waits: chance(0.5),
      ends: one(['returns', 'returns', 'returns', 'throws', 'does nothing'] as const),
    })),
    steps,
  };
}
