// What a line of a script can say.

import type { JsonObject } from '../../base/json.ts';
import type { Settings } from '../../settings/settings.ts';
import type { ScriptedPart } from '../scripted-answer.ts';
import type { Expectation } from './expectation.ts';

export type Step = {
  readonly lineNumber: number;
  /** As it was written. */ readonly written: string;
} & Action;

/** A step by its name. */
export type StepOf<Name extends ActionName> =
  Pick<Step, 'lineNumber' | 'written'> & ActionOf<Action, Name>;

type ActionOf<A, Name> = A extends { readonly name: infer Known }
  ? Extract<Known, Name> extends never ? never : A & { readonly name: Name }
  : never;

/** When something goes wrong: while the reply is spoken, or while a tool runs. */
export type Moment =
  /** This many words have been heard. 0: as soon as the reply begins. */
  | { readonly words: number }
  | ToolMoment;

export interface ToolMoment {
  readonly tool: string;
  /** True: it has been called and has not acted. False: it has acted and not yet returned. */
  readonly isBeginning: boolean;
}

export type Action = SetUp | OpeningLine | CallerLine | ModelLine | Mock | Trouble | CheckLine;
export type ActionName = Action['name'];

/** Holds for the whole call. */
export type SetUp =
  | { readonly name: 'agent' | 'from' | 'to' | 'language'; readonly text: string }
  | { readonly name: 'wire'; readonly wire: 'layercode' }
  | { readonly name: 'wire'; readonly wire: 'chat-completions'; readonly profile: Profile }
  /** What the clock says as the call begins. */
  | { readonly name: 'at'; readonly clock: Clock }
  /** Models behind the agent's, with the real retries: the others are fall-backs. */
  | { readonly name: 'models'; readonly count: number }
  | { readonly name: 'metadata'; readonly metadata: JsonObject }
  /** A setting by the name of its variable. */
  | { readonly name: 'set'; readonly variable: string; readonly value: string }
  /** Tools with effects that run as they are. */
  | { readonly name: 'real'; readonly tools: readonly string[] }
  /** Words that a judge must let pass, or must not. */
  | { readonly name: 'good' | 'bad'; readonly text: string };

/** What a platform of Chat Completions does: `CHAT_COMPLETIONS_PROFILE`. */
export type Profile = Settings['chatCompletionsProfile'];

/** In the time zone of the process. */
export interface Clock {
  /** `2026-12-01`. Undefined: today. */
  readonly date: string | undefined;
  /** `23:30` */
  readonly time: string;
}

/** What the caller or their page does. */
export type OpeningLine =
  | { readonly name: 'say'; readonly text: string }
  /** Another caller calls, from this number. Undefined: the same one calls again. */
  | { readonly name: 'call'; readonly from: string | undefined }
  | { readonly name: 'data'; readonly data: JsonObject };

/** A model plays the caller for some turns. */
export interface CallerLine {
  readonly name: 'caller';
  readonly persona: string;
  readonly goal: string;
  /** How many times they speak at most. */
  readonly maxTurns: number;
}

/** What a scripted model answers, in the turn that the line belongs to. */
export interface ModelLine {
  readonly name: 'model';
  readonly part: ScriptedPart;
  /** Whether another request gets this, after the results of the calls before it. */
  readonly isNext: boolean;
}

/** Replaces what a tool does, from the next turn on. */
export interface Mock {
  readonly name: 'mock';
  readonly tool: string;
  readonly afterMs: number;
  readonly outcome: MockOutcome;
}

export type MockOutcome =
  | { readonly kind: 'returns'; readonly value: unknown }
  /** The tool throws. `not-done`: it throws `NotDone`. */
  | { readonly kind: 'fails' | 'not-done'; readonly message: string }
  | { readonly kind: 'hands-over'; readonly agent: string }
  /** Until its signal fires. */
  | { readonly kind: 'hangs' };

export type Trouble =
  | { readonly name: 'interrupt' | 'drop'; readonly at: Moment }
  /** How long the store takes no writes: `Infinity` until it is back, 0: it is back. */
  | { readonly name: 'store'; readonly awayMs: number }
  /** The calls go on in the other of two processes. */
  | { readonly name: 'elsewhere' }
  /** Undefined: once the reply is complete. */
  | { readonly name: 'deliver-again' | 'restart' | 'kill'; readonly at: Moment | undefined };

/** How often a tool ran, with what, and with what result. */
export interface ToolExpectation {
  readonly tool: string;
  /** Undefined: at least once. 0: never. */
  readonly times: number | undefined;
  /** In the call so far, instead of the turn. */
  readonly isInAll: boolean;
  /** The arguments have these fields. */
  readonly args: JsonObject | undefined;
  readonly outcome:
    | { readonly kind: 'returns' | 'fails'; readonly expectation: Expectation }
    | { readonly kind: 'refused' }
    /** It says that it had no effect, or its `once` did not let it begin. */
    | { readonly kind: 'not-done'; readonly expectation: Expectation }
    | undefined;
}

/** For a model. */
export interface JudgeLine {
  readonly name: 'judge';
  readonly question: string;
  /** How often it is asked. More than half of the verdicts must agree. */
  readonly times: number;
}

/** What can fail. Steps refer to the reply to the last `say`, and `never…` to the whole call. */
export type CheckLine =
  | {
      readonly name:
        | 'expect' | 'expect-not' | 'expect-data' | 'expect-no-data' | 'expect-state'
        | 'expect-prompt' | 'expect-no-prompt' | 'never';
      readonly expectation: Expectation;
    }
  | { readonly name: 'expect-tool' | 'expect-no-tool'; readonly expected: ToolExpectation }
  | {
      readonly name:
        | 'expect-hangup' | 'never-fails' | 'never-cut' | 'never-repeats';
    }
  | { readonly name: 'expect-same-request' }
  /** None named: those with `once`. */
  | { readonly name: 'never-acts-twice'; readonly tools: readonly string[] }
  /** The first word. */
  | { readonly name: 'within'; readonly ms: number }
  | { readonly name: 'within-tokens'; readonly tokens: number; readonly isInAll: boolean }
  /** The whole reply. */
  | { readonly name: 'ends-within'; readonly ms: number }
  | JudgeLine;
