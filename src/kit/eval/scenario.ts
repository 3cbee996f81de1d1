// A script as the runner plays it: what holds for the whole call, and its acts in order.

import { basename } from 'node:path';

import type { JsonObject } from '../../base/json.ts';
import { groups } from '../../settings/table.ts';
import type { ScriptedAnswer, ScriptedPart } from '../scripted-answer.ts';
import { ScriptError } from './script.ts';
import type { ActionName, Clock, Moment, Profile, Step, StepOf } from './step.ts';

const SET_UP = [
  'agent', 'wire', 'at', 'from', 'to', 'language', 'metadata', 'set', 'real', 'models', 'good',
  'bad',
] as const satisfies readonly ActionName[];
const CHECKS = [
  'expect', 'expect-not', 'expect-data', 'expect-no-data', 'expect-hangup', 'expect-tool',
  'expect-no-tool', 'expect-state', 'expect-prompt', 'expect-no-prompt', 'expect-same-request',
  'within', 'within-tokens', 'ends-within', 'judge',
] as const satisfies readonly ActionName[];
/** These hold for the whole call, wherever they are. */
const CHECKS_OF_CALL = [
  'never', 'never-fails', 'never-cut', 'never-repeats', 'never-acts-twice',
] as const satisfies readonly ActionName[];
const TROUBLES = [
  'interrupt', 'drop', 'deliver-again', 'restart', 'kill',
] as const satisfies readonly ActionName[];

/** Done one after the other, whatever the reply. */
const DONE = [
  'mock', 'data', 'caller', 'store', 'elsewhere',
] as const satisfies readonly ActionName[];

/** Decided by a model or a file, not by what was seen alone. */
export type ComparedStep = StepOf<'judge' | 'expect-same-request'>;
export type CheckStep = StepOf<(typeof CHECKS)[number] | (typeof CHECKS_OF_CALL)[number]>;
export type TroubleStep = StepOf<(typeof TROUBLES)[number]>;

/** Something that goes wrong in the middle of a reply. */
export type TroubleAt = TroubleStep & { readonly at: Moment };

/** One delivery of a turn. */
export interface ScriptedExchange {
  readonly kind: 'exchange';
  /** Undefined: the call begins. */
  readonly opening: StepOf<'say' | 'call' | 'deliver-again'> | undefined;
  /** What a scripted model answers, one per request. */
  readonly answers: readonly ScriptedAnswer[];
  /** What the caller's page sends while the reply comes. */
  readonly meanwhile: readonly StepOf<'data'>[];
  readonly trouble: TroubleAt | undefined;
}

export type Act =
  | ScriptedExchange
  /** Of the last exchange. */
  | { readonly kind: 'check'; readonly step: CheckStep }
  | { readonly kind: 'mock'; readonly step: StepOf<'mock'> }
  | { readonly kind: 'data'; readonly step: StepOf<'data'> }
  | { readonly kind: 'caller'; readonly step: StepOf<'caller'> }
  | { readonly kind: 'restart' | 'kill'; readonly step: TroubleStep }
  | { readonly kind: 'store'; readonly step: StepOf<'store'> }
  | { readonly kind: 'elsewhere'; readonly step: StepOf<'elsewhere'> };

/** Who calls, and how. */
export interface Origin {
  /** A profile of Chat Completions, or LayerCode. */
  readonly platform: 'layercode' | Profile;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly language: string | undefined;
  readonly metadata: JsonObject | undefined;
}

export interface Scenario {
  /** As it was given. */
  readonly file: string;
  /** The file's name without its ending. */
  readonly name: string;
  /** A built-in name, or a path relative to the file. Undefined: whatever is evaluated. */
  readonly agent: string | undefined;
  readonly origin: Origin;
  /** What the clock says as the call begins. Undefined: the truth. */
  readonly clock: Clock | undefined;
  /** By variable. */
  readonly settings: Readonly<Record<string, string>>;
  /** Tools with effects that run as they are. */
  readonly realTools: ReadonlySet<string>;
  /** Whether a scripted model answers, instead of the agent's own. */
  readonly isScripted: boolean;
  /** How many scripted models there are, with retries. Undefined: one, without. */
  readonly models: number | undefined;
  /** Words that a judge must let pass, or must not. */
  readonly examples: { readonly good: readonly string[]; readonly bad: readonly string[] };
  /** The first one is the welcome. */
  readonly acts: readonly Act[];
  /** Of the whole call. */
  readonly checks: readonly CheckStep[];
  readonly steps: readonly Step[];
}

/** Settings that a scenario may change: how long, how many, how soon. */
const SETTABLE: ReadonlySet<string> = new Set([
  'FILLER_AFTER_MS', 'SETTLE_MS', 'STORE_TIMEOUT_MS',
  ...groups
    .filter(([title]) => title === 'Bounds' || title === 'Times')
    .flatMap(([, rows]) => Object.values(rows).map(({ variable }) => variable)),
]);

/**
 * Throws a `ScriptError` for steps that make no sense together. `isLive`: it is played to a server
 * that is not ours. Data is then sent while a reply is still coming, and a scenario may expect
 * nothing, because it already passes if every turn gets a reply.
 */
export function scenarioOf(
  steps: readonly Step[],
  file: string,
  { isLive = false } = {},
): Scenario {
  const problems: string[] = [];
  const fault: TellFault = ({ lineNumber }, text) =>
    void problems.push(`line ${lineNumber}: ${text}`);
  const acts = actsOf(steps, isLive, fault);
  const only = onlyOnce(steps, fault);
  const wire = only('wire');
  const origin: Origin = {
    platform: wire?.wire === 'chat-completions' ? wire.profile : 'layercode',
    from: only('from')?.text,
    to: only('to')?.text,
    language: only('language')?.text,
    metadata: only('metadata')?.metadata,
  };
  const agent = only('agent')?.text;
  checkWire(steps, origin, fault);
  const isScripted = allOf(steps, 'model').length > 0;
  const settings: Record<string, string> = {};
  for (const step of allOf(steps, 'set')) {
    if (!SETTABLE.has(step.variable))
      fault(step, `${step.variable} is not a time or a limit that a scenario can set`);
    settings[step.variable] = step.value;
  }
  for (const step of isScripted ? allOf(steps, 'within-tokens') : [])
    fault(step, 'a scripted model uses no tokens');
  for (const step of isScripted ? allOf(steps, 'caller') : [])
    fault(step, 'nobody knows what a played caller says, so no "model" line can answer it');
  const models = only('models');
  if (models !== undefined && !isScripted)
    fault(models, 'models is for scripted models: the agent\'s own have retries');
  const examples = {
    good: allOf(steps, 'good').map(({ text }) => text),
    bad: allOf(steps, 'bad').map(({ text }) => text),
  };
  const example = allOf(steps, 'good')[0] ?? allOf(steps, 'bad')[0];
  if (example !== undefined && allOf(steps, 'judge').length === 0)
    fault(example, `${example.name} is an example for judge, and nothing is judged`);
  const checks = steps.filter((step) => isOneOf(CHECKS_OF_CALL, step));
  const canFail = checks.length > 0 || isLive
    || acts.some(({ kind }) => kind === 'check' || kind === 'caller');
  if (!canFail)
    problems.push('it expects nothing, so it could never fail: add a line such as expect Hello');
  if (problems.length > 0) throw new ScriptError(file, problems);
  return {
    file,
    name: nameOf(file),
    agent,
    origin,
    clock: only('at')?.clock,
    settings,
    realTools: new Set(allOf(steps, 'real').flatMap(({ tools }) => tools)),
    isScripted,
    models: models?.count,
    examples,
    acts,
    checks,
    steps,
  };
}

/** The file's name without its ending; `order#2` for the second case of `order.txt`. */
export function nameOf(file: string): string {
  return basename(file).replace(/\.[^.#]+(#\d+)?$/, '$1');
}

/** `order.txt` → `order.recorded.json`; `order.2.recorded.json` for its second case. */
export function besideScenario(path: string, ending: string): string {
  const name = path.replace(/(?:\.[^./\\#]+)?(?:#(\d+))?$/, (_end, number?: string) =>
    number === undefined ? '' : `.${number}`);
  return name + ending;
}

type TellFault = (step: Pick<Step, 'lineNumber'>, text: string) => void;

function isOneOf<Name extends ActionName>(
  names: readonly Name[],
  step: Step,
): step is Step & StepOf<Name> {
  return (names as readonly ActionName[]).includes(step.name);
}

function allOf<Name extends ActionName>(
  steps: readonly Step[],
  name: Name,
): readonly StepOf<Name>[] {
  return steps.filter((step): step is Step & StepOf<Name> => isOneOf([name], step));
}

function onlyOnce(steps: readonly Step[], fault: TellFault) {
  return <Name extends ActionName>(name: Name): StepOf<Name> | undefined => {
    const [first, second] = allOf(steps, name);
    if (second !== undefined) fault(second, `${name} stands in a scenario once`);
    return first;
  };
}

/** An exchange while its lines are read. */
interface Draft {
  readonly kind: 'exchange';
  readonly opening: ScriptedExchange['opening'];
  readonly answers: ScriptedPart[][];
  readonly meanwhile: StepOf<'data'>[];
  trouble: TroubleAt | undefined;
}

function actsOf(steps: readonly Step[], isLive: boolean, fault: TellFault): readonly Act[] {
  let exchange = draft(undefined);
  const acts: Act[] = [exchange];
  for (const step of steps) {
    if (isOneOf(SET_UP, step)) {
      if (exchange.opening !== undefined)
        fault(step, `${step.name} must stand above the first say: it holds for the whole call`);
    } else if (isOneOf(CHECKS, step)) acts.push({ kind: 'check', step });
    else if (isOneOf(CHECKS_OF_CALL, step)) continue;
    else if (step.name === 'data' && isLive && isComing(exchange, acts)) {
      exchange.meanwhile.push(step);
    } else if (isOneOf(DONE, step)) {
      acts.push({ kind: step.name, step } as Act);
    } else if (step.name === 'model') {
      if (exchange.opening === undefined)
        fault(step, 'model must stand below a say: no model is asked for the welcome');
      addPart(exchange.answers, step);
    }
    else if (isOneOf(TROUBLES, step) && step.at !== undefined) {
      if (exchange.trouble !== undefined)
        fault(step, `line ${exchange.trouble.lineNumber} has ended this reply already`);
      exchange.trouble = step as TroubleAt;
    } else if (step.name === 'restart' || step.name === 'kill') {
      acts.push({ kind: step.name, step });
    } else {
      exchange = draft(step as NonNullable<ScriptedExchange['opening']>);
      acts.push(exchange);
    }
  }
  // A mock above the first say holds for the welcome, too.
  const first = acts.findIndex((act) => act.kind === 'exchange' && act.opening !== undefined);
  const before = acts.slice(1, first === -1 ? acts.length : first);
  const mocks = before.filter(({ kind }) => kind === 'mock');
  return [...mocks, ...acts.filter((act) => !mocks.includes(act))];
}

/** Whether nothing has waited for the end of the reply yet. */
function isComing(exchange: Draft, acts: readonly Act[]): boolean {
  const since = acts.slice(acts.indexOf(exchange) + 1);
  return exchange.trouble === undefined
    && since.every((act) => act.kind === 'check' && act.step.name === 'within');
}

function draft(opening: ScriptedExchange['opening']): Draft {
  return { kind: 'exchange', opening, answers: [], meanwhile: [], trouble: undefined };
}

/** After calls or a failure, anything but another call is the answer to the next request. */
function addPart(answers: ScriptedPart[][], { part, isNext }: StepOf<'model'>): void {
  const last = answers.at(-1);
  const isCall = typeof part === 'object' && 'call' in part;
  const has = (field: string): boolean =>
    last?.some((known) => typeof known === 'object' && field in known) === true;
  const isOver = has('fail') || (has('call') && !isCall);
  if (last === undefined || isNext || isOver) answers.push([part]);
  else last.push(part);
}

function checkWire(steps: readonly Step[], { platform }: Origin, fault: TellFault): void {
  const [said] = allOf(steps, 'language');
  if (said !== undefined && platform === 'layercode')
    fault(said, 'LayerCode names no language; add: wire chat-completions');
  for (const step of platform === 'layercode' ? [] : allOf(steps, 'data'))
    fault(step, 'the wire chat-completions has no data from a page');
}
