// A talk: what callers, agents, tools, processes and stores do, in order. It is made from a seed.

import { randomOf } from '../../fixtures/random.ts';
import type { StoreKind } from './talk-stage.ts';

/** One step of an agent in a turn. The talk ends a `wait`. */
export type Op =
  | { readonly do: 'say' | 'filler' | 'data' | 'wait' | 'fail' | 'hang up' | 'look' }
  | {
      readonly do: 'call';
      readonly waits: readonly boolean[];
      readonly hasOneId: boolean;
      readonly hangsUp: boolean;
    };

export interface Plan {
  /** Whether its signal ends a wait too. */
  readonly obeys: boolean;
  /** Whether the hook returns a text instead of speaking through the reply. */
  readonly isText: boolean;
  readonly ops: readonly Op[];
}

/** What a message reports on the reply before it. `part`, from 0 to 1, was heard. */
export interface Heard {
  readonly kind: 'unknown' | 'nothing' | 'part';
  readonly part: number;
  readonly names: 'no turn' | 'the turn' | 'a turn nobody knows';
}

/**
 * `pick`, from 0 to 1, chooses among what there is. `isRushed`: the next step does not wait for the
 * effects of this one. `breaks`: the connection breaks at the first write.
 */
export type Step = { readonly isRushed?: boolean } & (
  | {
      readonly do: 'message';
      readonly hasId: boolean;
      readonly heard?: Heard | undefined;
      readonly plan: Plan;
      readonly breaks: boolean;
    }
  | { readonly do: 'start'; readonly hasId: boolean; readonly plan: Plan }
  | {
      readonly do: 'deliver again';
      readonly pick: number;
      readonly hasOtherWords: boolean;
      readonly breaks: boolean;
    }
  | { readonly do: 'drop' | 'go on'; readonly pick: number }
  | {
      readonly do:
        | 'hold the store'
        | 'grant a call'
        | 'release the store'
        | 'crash'
        | 'interrupted by the platform';
    }
);

export interface Talk {
  readonly seed: number;
  readonly agent: 'scripted' | 'model';
  readonly store: StoreKind;
  readonly steps: readonly Step[];
  /** Whether the app is stopped at the end, before everything is done. */
  readonly isStopped: boolean;
}

export function composeTalk(seed: number): Talk {
  const random = randomOf(seed);
  const chance = (part: number): boolean => random() < part;
  const one = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T;
  const agent = one(['scripted', 'scripted', 'model'] as const);

  const planOps = (): Op[] => {
    const ops: Op[] = [];
    for (let count = Math.floor(random() * 6); count > 0; count--) {
      const at = random();
      if (at < 0.45) ops.push({ do: 'say' });
      else if (at < 0.65) ops.push({ do: 'wait' });
      else if (at < 0.72)
        ops.push({ do: 'filler' }, ...(chance(0.3) ? [{ do: 'filler' } as const] : []));
      else if (at < 0.76) ops.push({ do: 'data' });
      else if (at < 0.8) ops.push({ do: 'look' });
      else if (at < 0.84) ops.push({ do: 'fail' });
      else if (at < 0.87 && agent === 'scripted') ops.push({ do: 'hang up' });
      else
        ops.push({
          do: 'call', waits: chance(0.6) ? [chance(0.7)] : [chance(0.7), chance(0.7)],
          hasOneId: chance(0.2), hangsUp: agent === 'model' && chance(0.15),
        });
    }
    return ops;
  };
  const plan = (): Plan => {
    if (agent === 'scripted' && chance(0.2))
      return { obeys: true, isText: true, ops: [{ do: 'say' }] };
    const ops = planOps();
    return {
      obeys: chance(0.5), isText: false, ops: agent === 'model' ? [...ops, { do: 'say' }] : ops,
    };
  };
  const heard = (often = 0.4): Heard | undefined => {
    if (!chance(often)) return undefined;
    return {
      kind: one(['unknown', 'nothing', 'part', 'part', 'part'] as const),
      part: chance(0.3) ? 1 : random(),
      names: one(['no turn', 'the turn', 'a turn nobody knows'] as const),
    };
  };
  let hasCrashed = false;
  const step = (): Step => {
    const isRushed = chance(0.2);
    const at = hasCrashed ? 0 : random();
    // After a crash the next message reports what was heard, or none does.
    const often = hasCrashed ? 0.8 : 0.4;
    hasCrashed = at >= 0.96;
    if (at < 0.33)
      return {
        do: 'message', hasId: chance(0.8), heard: heard(often), plan: plan(), breaks: chance(0.05),
        isRushed,
      };
    if (at < 0.35) return { do: 'interrupted by the platform', isRushed };
    if (at < 0.38) return { do: 'start', hasId: chance(0.7), plan: plan(), isRushed };
    if (at < 0.5)
      return {
        do: 'deliver again', pick: random() ** 2, hasOtherWords: chance(0.15), breaks: chance(0.15),
        isRushed,
      };
    if (at < 0.62) return { do: 'drop', pick: random(), isRushed };
    if (at < 0.83) return { do: 'go on', pick: random(), isRushed };
    if (at < 0.87) return { do: 'hold the store', isRushed };
    if (at < 0.92) return { do: 'grant a call', isRushed };
    if (at < 0.96) return { do: 'release the store', isRushed };
    return { do: 'crash', isRushed };
  };
  return {
    seed, agent, store: one(['memory', 'promised', 'thenable', 'shared', 'machines'] as const),
    steps: Array.from({ length: 5 + Math.floor(random() * 16) }, step), isStopped: chance(0.15),
  };
}
