// A talk with a platform that sends the whole call with each request: what the caller, the
// platform, the agent's model and its tools do, in order. It is made from a seed.

import { randomOf } from '../../../fixtures/random.ts';
import type { ToolFate } from '../talks.ts';

export const PROFILE_NAMES = ['generic', 'vapi', 'elevenlabs', 'livekit', 'cartesia'] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** `act` ends with its turn, `keep` does not. `look` changes nothing, `pay` acts once. */
export type ToolName = 'act' | 'keep' | 'look' | 'pay';

/** Within one place of the call, calls with the same tool and number are the same call. */
export interface ToolUse {
  readonly tool: ToolName;
  readonly n: number;
}

/** One step of the agent's model in a turn. The talk ends a `wait`. */
export type ModelOp =
  | { readonly do: 'say' | 'wait' | 'fail' | 'hang up' }
  | { readonly do: 'call'; readonly calls: readonly ToolUse[] };

/** What the platform tells about a reply. */
export interface Telling {
  /** How much of it, from nothing to all. */
  readonly part: number;
  /** `rewritten`: for speech. Never where the platform knows what was heard. */
  readonly style: 'as it was' | 'rewritten';
}

/** What becomes of the connections that the platform still has open. */
export type OldConnections = 'dropped before' | 'dropped after' | 'kept';

/** A request for a reply. */
export interface Asking {
  /** The place of the process that gets the request. */
  readonly at: number;
  readonly ops: readonly ModelOp[];
  readonly old: OldConnections;
}

/** `pick`, from 0 to 1, chooses among what there is. */
export type PlatformEvent =
  /** The caller speaks, maybe over a reply. `telling` is about the reply before. */
  | (Asking & { readonly do: 'speak'; readonly isYes: boolean; readonly telling: Telling })
  /** The platform corrects the caller's last words. */
  | (Asking & { readonly do: 'correct'; readonly how: 'longer' | 'other' })
  /** The caller stays silent after the reply, and the platform asks for another one. */
  | (Asking & { readonly do: 'silence'; readonly telling: Telling })
  /** The same bytes again. */
  | { readonly do: 'retry'; readonly at: number; readonly old: OldConnections }
  /** A request with the beginning of the caller's last words comes late. */
  | { readonly do: 'late'; readonly at: number }
  /** The platform says something in the agent's name, after the last reply or before it. */
  | { readonly do: 'insert'; readonly isBehind: boolean }
  /** From now on only this many of the older messages are sent. */
  | { readonly do: 'cut'; readonly keeps: number }
  /** The platform tells how its tool went. */
  | { readonly do: 'continue'; readonly at: number }
  | { readonly do: 'drop' }
  | { readonly do: 'go on'; readonly pick: number };

/** An event, and the time that passes after it. */
export type PlatformStep = PlatformEvent & { readonly passesMs: number };

export interface PlatformTalk {
  readonly seed: number;
  readonly profile: ProfileName;
  readonly processes: number;
  /** Whether requests name no conversation, so that each stands alone. */
  readonly isAnonymous: boolean;
  /** Whether the platform greets the caller. */
  readonly greets: boolean;
  /** 0 for none. */
  readonly fillerAfterMs: number;
  /** One for each call that begins, in order. */
  readonly fates: readonly ToolFate[];
  readonly steps: readonly PlatformStep[];
}

/** `given`: the number of processes, if the seed does not choose. */
export function composePlatformTalk(seed: number, given?: number): PlatformTalk {
  const random = randomOf(seed);
  const chance = (part: number): boolean => random() < part;
  const below = (count: number): number => Math.floor(random() * count);
  const one = <T>(choices: readonly T[]): T => choices[below(choices.length)] as T;
  const drawn = chance(0.4) ? 2 : 1;
  const processes = given ?? drawn;
  const at = (): number => below(processes);
  const profile = one(PROFILE_NAMES);
  const saysYes = one([0, 0.1, 0.3, 0.9]);
  const cuts = chance(0.3);

  const use = (): ToolUse => ({
    tool: one(['act', 'act', 'keep', 'look', 'pay'] as const), n: below(2),
  });
  const op = (): ModelOp => {
    const kind = random();
    if (kind < 0.4) return { do: 'say' };
    if (kind < 0.55) return { do: 'wait' };
    if (kind < 0.58) return { do: 'fail' };
    return { do: 'call', calls: Array.from({ length: chance(0.25) ? 2 : 1 }, use) };
  };
  const ops = (): readonly ModelOp[] => {
    const made = Array.from({ length: below(4) }, op);
    return [...made, { do: chance(0.05) ? 'hang up' : 'say' }];
  };
  const old = (): OldConnections => one(['dropped before', 'dropped after', 'kept'] as const);
  const telling = (): Telling => ({
    part: one([0, 0.3 * random(), random(), random(), 1, 1, 1]),
    style: one(['as it was', 'as it was', 'rewritten'] as const),
  });
  const event = (): PlatformEvent => {
    const kind = random();
    const asking = { at: at(), ops: ops(), old: old() };
    if (kind < 0.32) return { do: 'speak', isYes: chance(saysYes), telling: telling(), ...asking };
    if (kind < 0.45) return { do: 'correct', how: chance(0.7) ? 'longer' : 'other', ...asking };
    if (kind < 0.53) return { do: 'retry', at: at(), old: old() };
    if (kind < 0.57) return { do: 'late', at: at() };
    if (kind < 0.6 && profile === 'elevenlabs')
      return { do: 'silence', telling: telling(), ...asking };
    if (kind < 0.61) return { do: 'insert', isBehind: chance(0.7) };
    if (kind < 0.64 && cuts) return { do: 'cut', keeps: one([4, 6, 8]) };
    if (kind < 0.67) return { do: 'continue', at: at() };
    if (kind < 0.7) return { do: 'drop' };
    return { do: 'go on', pick: random() };
  };
  return {
    seed,
    profile,
    isAnonymous: chance(0.05),
    processes,
    greets: chance(0.5),
    fillerAfterMs: chance(0.3) ? 400 : 0,
    fates: Array.from({ length: 16 }, () => ({
      waits: chance(0.4),
      ends: one(['returns', 'returns', 'returns', 'throws', 'does nothing'] as const),
    })),
    steps: Array.from({ length: 4 + below(18) }, () => ({
      ...event(), passesMs: one([0, 0, 0, 20, 110, 300, 750, 1_500]),
    })),
  };
}
