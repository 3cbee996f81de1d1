// A script as the runner plays it: what holds for the whole call, and its acts in order.

import { basename } from 'node:path';

import type { JsonObject } from '../../base/json.ts';
import type { ScriptedAnswer, ScriptedPart } from '../scripted-answer.ts';
import { CALL_CHECKS, CHECKS } from './check-steps.ts';
import { ScriptError } from './script.ts';
import {
  ACTIONS, isOf, OPENINGS, SET_UP, TROUBLES, type Clock, type Moment, type Profile, type Step,
  type StepName, type StepOf,
} from './steps.ts';

export type CheckStep = StepOf<keyof typeof CHECKS | keyof typeof CALL_CHECKS>;

/** Something that goes wrong in the middle of a reply. */
export type TroubleAt = StepOf<keyof typeof TROUBLES> & { readonly at: Moment };

/** One delivery of a turn. */
export interface ScriptedExchange {
  readonly name: 'exchange';
  /** Undefined: the call begins. */
  readonly opening: StepOf<keyof typeof OPENINGS | 'deliver-again'> | undefined;
  /** The answers of a scripted model, one per request. */
  readonly answers: readonly ScriptedAnswer[];
  /** What the caller's page sends while the reply is coming. */
  readonly meanwhile: readonly StepOf<'data'>[];
  readonly trouble: TroubleAt | undefined;
}

/** Checks are about the exchange before them. */
export type Act =
  | ScriptedExchange | StepOf<keyof typeof ACTIONS | keyof typeof CHECKS | 'restart' | 'kill'>;

export interface Origin {
  /** A profile of Chat Completions, or LayerCode. */
  readonly platform: 'layercode' | Profile;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly language: string | undefined;
  readonly metadata: JsonObject | undefined;
}

export interface Scenario {
  /** The path as it was given. */
  readonly file: string;
  /** The file's name without its ending. */
  readonly name: string;
  /** A built-in name, or a path relative to the file. Undefined: whatever is evaluated. */
  readonly agent: string | undefined;
  readonly origin: Origin;
  /** What the clock says as the call begins. Undefined: the true time. */
  readonly clock: Clock | undefined;
  /** By their names in `Settings`. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Tools with effects that run as they are. */
  readonly realTools: ReadonlySet<string>;
  /** Whether a scripted model answers, instead of the agent's own. */
  readonly isScripted: boolean;
  /** How many scripted models there are, with retries. Undefined: one, without retries. */
  readonly models: number | undefined;
  /** Replies that a judge must let pass, and replies that it must not. */
  readonly examples: { readonly good: readonly string[]; readonly bad: readonly string[] };
  /** The first one is the welcome. */
  readonly acts: readonly Act[];
  /** Those that are about the whole call. */
  readonly checks: readonly CheckStep[];
  readonly steps: readonly Step[];
}

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
  const origin: Origin = {
    platform: only('wire')?.platform ?? 'layercode',
    from: only('from')?.text,
    to: only('to')?.text,
    language: only('language')?.text,
    metadata: only('metadata')?.metadata,
  };
  const agent = only('agent')?.text;
  checkWire(steps, origin, fault);
  const isScripted = allOf(steps, 'model').length > 0;
  for (const step of isScripted ? allOf(steps, 'within') : [])
    if (step.tokens !== undefined) fault(step, 'a scripted model uses no tokens');
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
  const checks = steps.filter((step) => isOf(CALL_CHECKS, step));
  const canFail = isLive
    || steps.some((step) => isOf({ ...CHECKS, ...CALL_CHECKS }, step) || step.name === 'caller');
  if (!canFail)
    problems.push('it expects nothing, so it could never fail: add a line such as expect Hello');
  if (problems.length > 0) throw new ScriptError(file, problems);
  return {
    file,
    name: nameOf(file),
    agent,
    origin,
    clock: only('at')?.clock,
    settings: Object.fromEntries(
      allOf(steps, 'set').map(({ setting, value }) => [setting, value]),
    ),
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

function allOf<Name extends StepName>(
  steps: readonly Step[],
  name: Name,
): readonly StepOf<Name>[] {
  return steps.filter((step): step is StepOf<Name> => step.name === name);
}

function onlyOnce(steps: readonly Step[], fault: TellFault) {
  return <Name extends StepName>(name: Name): StepOf<Name> | undefined => {
    const [first, second] = allOf(steps, name);
    if (second !== undefined) fault(second, `${name} may appear only once in a scenario`);
    return first;
  };
}

/** An exchange whose lines are still being read. */
interface Draft extends ScriptedExchange {
  readonly answers: ScriptedPart[][];
  readonly meanwhile: StepOf<'data'>[];
  trouble: TroubleAt | undefined;
}

function actsOf(steps: readonly Step[], isLive: boolean, fault: TellFault): readonly Act[] {
  let exchange = draft(undefined);
  const acts: Act[] = [exchange];
  for (const step of steps) {
    if (isOf(SET_UP, step)) {
      if (exchange.opening !== undefined)
        fault(step, `${step.name} must come before the first say: it holds for the whole call`);
    } else if (step.name === 'model') {
      if (exchange.opening === undefined)
        fault(step, 'model must come after a say: no model is asked for the welcome');
      addPart(exchange.answers, step);
    } else if (step.name === 'data' && isLive && isComing(exchange, acts)) {
      exchange.meanwhile.push(step);
    } else if (isOf(TROUBLES, step) && step.at !== undefined) {
      if (exchange.trouble !== undefined)
        fault(step, `line ${exchange.trouble.lineNumber} has ended this reply already`);
      exchange.trouble = { ...step, at: step.at };
    } else if (isOf(OPENINGS, step) || step.name === 'deliver-again') {
      exchange = draft(step);
      acts.push(exchange);
    } else if (
      step.name === 'restart' || step.name === 'kill' || isOf({ ...ACTIONS, ...CHECKS }, step)
    ) {
      acts.push(step);
    }
  }
  // A mock above the first say also holds for the welcome.
  const first = acts.findIndex((act) => act.name === 'exchange' && act.opening !== undefined);
  const before = acts.slice(1, first === -1 ? acts.length : first);
  const mocks = before.filter(({ name }) => name === 'mock');
  return [...mocks, ...acts.filter((act) => !mocks.includes(act))];
}

/** Whether nothing has waited for the end of the reply yet. */
function isComing(exchange: Draft, acts: readonly Act[]): boolean {
  const since = acts.slice(acts.indexOf(exchange) + 1);
  return exchange.trouble === undefined
    && since.every(({ name }) => name === 'within');
}

function draft(opening: ScriptedExchange['opening']): Draft {
  return { name: 'exchange', opening, answers: [], meanwhile: [], trouble: undefined };
}

/**
 * After calls or a failure, anything but another call belongs to the answer to the next request.
 */
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
    fault(said, 'LayerCode sends no language; add: wire chat-completions');
  for (const step of platform === 'layercode' ? [] : allOf(steps, 'data'))
    fault(step, 'the wire chat-completions has no data from a page');
}
