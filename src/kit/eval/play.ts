// A scenario's call from its beginning to its end, and the checks on the way.

import { isObject } from '../../base/fields.ts';
import { messageOf } from '../../base/thrown-values.ts';
import type { CallerSession } from '../platform/caller-session.ts';
import type { CallerTurn, CallFailure } from '../platform/caller-turn.ts';
import { counted, oneLine } from '../terminal/text.ts';
import type { Notebook } from './notebook.ts';
import type { PlayOptions } from './play-options.ts';
import type { CallerMove } from './played-caller.ts';
import { remedyFor } from './problems.ts';
import type { PlayedTurn, ScenarioFailure, ScenarioResult } from './result.ts';
import type { Act, CheckStep, Scenario, ScriptedExchange, TroubleAt } from './scenario.ts';
import { StageLost } from './stage-process.ts';
import type { Address, OwnProcess, Stage } from './stage.ts';
import type { StepOf } from './steps.ts';

/** Longest wait for something that should follow at once. */
const SOON_MS = 2_000;
const QUIET_MS = 100;

/** The call cannot go on. The failure has been noted. */
class CallOver extends Error {
  override readonly name = 'CallOver';
}

interface PlayedExchange {
  readonly exchange: ScriptedExchange;
  readonly said: string | undefined;
  readonly caller: CallerSession;
  readonly conversation: number;
  reply: CallerTurn;
  ending: Exclude<PlayedTurn['ending'], 'refused'>;
  /** Set at the end: a later turn may say that this one was interrupted. */
  state: PlayedTurn['state'];
}

/** What a failure is about: a line of the scenario, or what was being done. */
type Line = Pick<ScenarioFailure, 'lineNumber' | 'written'>;

export interface Playing
  extends Pick<PlayOptions, 'timeoutMs' | 'signal' | 'judge' | 'golden' | 'playedCaller'> {
  readonly stage: Stage;
  readonly notebook: Notebook;
  /** A caller with this number. `address`: where the agent is at the moment. */
  readonly callerFrom: (from: string | undefined, address: () => Address) => CallerSession;
  /** The failure in words, for the report. */
  readonly explain: (failure: CallFailure) => string;
  /** Gets each act once it is over, with what failed in it, and the last turn. */
  readonly onAct?: (
    act: Act, failures: readonly ScenarioFailure[], turn: PlayedTurn | undefined,
  ) => void;
}

/**
 * Plays the call once. `problemsOf` must have found nothing. Rejects with the reason of the signal.
 */
export async function playCall(scenario: Scenario, playing: Playing): Promise<ScenarioResult> {
  const { file, name, origin, acts, checks } = scenario;
  const { stage, notebook, callerFrom, explain, onAct } = playing;
  const { timeoutMs, signal, judge, golden, playedCaller } = playing;
  const deliveries: PlayedExchange[] = [];
  const failures: ScenarioFailure[] = [];
  const undecided: string[] = [];
  /** Tools that hang because of a mock. */
  const hanging = new Set<string>();
  let address: Address = { origin: '', route: '' };
  let speaker = callerFrom(origin.from, () => address);
  /** The number of the speaker's conversation. */
  let conversation = 0;

  async function perform(act: Act): Promise<void> {
    switch (act.name) {
      case 'exchange':
        return deliver(act);
      case 'mock':
        if (act.outcome.kind === 'hangs') hanging.add(act.tool);
        return stage.mock(act);
      case 'data':
        return sendData(act);
      case 'caller':
        return converse(act);
      case 'restart':
      case 'kill':
        return beginAnew(act.name);
      case 'store':
        await ownProcess().stall(act.awayMs);
        return;
      case 'elsewhere':
        address = await ownProcess().switch();
        return;
      default:
        return check(act);
    }
  }

  async function beginAnew(name: 'restart' | 'kill'): Promise<void> {
    address = await (name === 'kill' ? ownProcess().kill() : stage.restart());
  }

  /** A model plays the caller until they hang up. */
  async function converse(step: StepOf<'caller'>): Promise<void> {
    const { lineNumber, written, maxTurns } = step;
    for (let said = 0; ; said += 1) {
      const move = await nextMove(step);
      if ('hangsUp' in move) {
        if (!move.hasReachedGoal) fail(step, [`the caller gave up: ${move.reason}`], 'judge');
        return;
      }
      if (hasHungUp()) giveUp(step, [`the agent had hung up before: ${move.say}`]);
      if (said === maxTurns)
        giveUp(step, [`the caller did not get what they wanted within ${maxTurns} turns`]);
      const opening = { name: 'say', text: move.say, lineNumber, written } as const;
      await deliver({ name: 'exchange', opening, answers: [], meanwhile: [], trouble: undefined });
    }
  }

  async function nextMove(step: StepOf<'caller'>): Promise<CallerMove> {
    if (playedCaller === undefined) throw new Error('a caller line needs a model');
    const turns = playedTurns().filter((turn) => turn.conversation === conversation);
    try {
      return await playedCaller(step, turns);
    } catch (error) {
      signal?.throwIfAborted();
      undecided.push(`line ${step.lineNumber}: the caller failed: ${messageOf(error)}`);
      throw new CallOver();
    }
  }

  /** Delivers a turn, and waits for the end of its reply. */
  async function deliver(exchange: ScriptedExchange): Promise<void> {
    const { opening, answers, trouble } = exchange;
    const isAgain = opening?.name === 'deliver-again';
    if (!isAgain) {
      await endTurn();
      if (opening?.name === 'call') await nextCall(opening.from);
      else if (hasHungUp()) giveUp(opening, ['the agent has hung up']);
    }
    const caller = speaker;
    const words = opening?.name === 'say' ? opening.text : undefined;
    const said = isAgain ? deliveries.at(-1)?.said : words;
    notebook.turnPage();
    if (!isAgain || answers.length > 0) await stage.prepare(answers);
    if (trouble !== undefined && 'tool' in trouble.at) await stage.hold(trouble.at);
    caller.finishPlaying(); // what was not spoken over was heard
    const reply = isAgain
      ? caller.deliverAgain()
      : words === undefined ? caller.start() : caller.say(words);
    const delivery: PlayedExchange = {
      exchange, said, caller, conversation, reply, ending: 'whole', state: undefined,
    };
    deliveries.push(delivery);
    for (const step of exchange.meanwhile) await sendData(step);
    if (trouble !== undefined) await makeTrouble(trouble, delivery);
    await hearOut(delivery);
    await stage.settled(caller.conversationId, SOON_MS);
    const { failure } = delivery.reply;
    if (failure !== undefined && delivery.ending === 'whole')
      giveUp(opening, [explain(failure)]);
    checkStandIns(exchange);
  }

  function hasHungUp(): boolean {
    return deliveries.at(-1)?.reply.endsCallBy === 'hang-up';
  }

  async function readStates(): Promise<void> {
    for (const delivery of deliveries) {
      const { reply, caller } = delivery;
      delivery.state = await stage.turnState(caller.conversationId, reply.id);
    }
  }

  async function nextCall(from: string | undefined): Promise<void> {
    await hangUp();
    speaker = from === undefined ? speaker.again() : callerFrom(from, () => address);
    if (from !== undefined) conversation += 1;
  }

  async function hearOut({ reply, exchange }: PlayedExchange): Promise<void> {
    const stop = (): void => void reply.stop();
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted === true) stop();
    const isOver = await reply.over(timeoutMs);
    signal?.removeEventListener('abort', stop);
    if (isOver) return;
    reply.stop();
    giveUp(exchange.opening, [`the reply had not ended after ${timeoutMs / 1_000} s`]);
  }

  async function makeTrouble(trouble: TroubleAt, delivery: PlayedExchange): Promise<void> {
    const { reply } = delivery;
    const { at } = trouble;
    if ('words' in at) {
      if (!(await reply.hear(at.words, timeoutMs))) {
        const { isOver, failure, words: { said, heard } } = reply;
        if (failure !== undefined) return;
        return fail(trouble, [isOver && said <= at.words
          ? `the reply had only ${counted(said, 'word')}`
          : `the caller heard only ${counted(heard, 'word')}`]);
      }
    } else {
      const { tool } = at;
      await Promise.race([
        notebook.watchers.until(() => notebook.isHeld(tool), timeoutMs),
        reply.over(timeoutMs),
      ]);
      if (!notebook.isHeld(tool)) {
        await stage.release();
        return fail(trouble, [`${tool} did not run`]);
      }
      await heardSoFar(reply, tool);
    }
    await carryOut(trouble, delivery);
    await stage.release();
  }

  /** Resolves once the caller has heard what was said before the tool. */
  async function heardSoFar(reply: CallerTurn, tool: string): Promise<void> {
    const isShown = (): boolean => reply.data.some(
      (content) => isObject(content) && content['tool'] === tool,
    );
    if (notebook.isShown && origin.platform === 'layercode')
      await reply.until(() => isShown() || reply.isOver, SOON_MS);
    else await quiet(reply);
  }

  async function carryOut(trouble: TroubleAt, delivery: PlayedExchange): Promise<void> {
    const { reply, caller } = delivery;
    switch (trouble.name) {
      case 'interrupt':
      case 'drop':
        if (trouble.name === 'drop') reply.stop();
        else caller.interrupt();
        delivery.ending = trouble.name === 'drop' ? 'dropped' : 'interrupted';
        await stage.settled(caller.conversationId, SOON_MS);
        return;
      case 'restart':
      case 'kill':
        delivery.ending = 'dropped';
        await beginAnew(trouble.name);
        reply.stop();
        return;
      case 'deliver-again':
        delivery.reply = caller.deliverAgain();
        await reply.over(SOON_MS); // the new delivery has taken over
        return;
      default:
        trouble satisfies never;
    }
  }

  function ownProcess(): OwnProcess {
    const { own } = stage;
    if (own === undefined) throw new Error('the agent has no process of its own');
    return own;
  }

  async function hangUp(): Promise<void> {
    speaker.finishPlaying();
    const refusal = await refusalOf(speaker.end());
    const end = { lineNumber: undefined, written: 'the end of the call' };
    if (refusal !== undefined) fail(end, [refusal], 'course', true);
  }

  async function sendData(step: StepOf<'data'>): Promise<void> {
    const refusal = await refusalOf(speaker.data(step.data));
    if (refusal !== undefined) fail(step, [refusal]);
  }

  async function refusalOf(answer: CallerTurn): Promise<string | undefined> {
    if (!(await answer.over(timeoutMs))) return `no answer after ${timeoutMs / 1_000} s`;
    const { failure } = answer;
    return failure === undefined ? undefined : explain(failure);
  }

  /** Waits for tools, unless a mock makes them hang. */
  async function toolsOver(counts: (tool: string) => boolean): Promise<void> {
    const isAwaited = (tool: string): boolean => counts(tool) && !hanging.has(tool);
    await notebook.watchers.until(() => !notebook.isRunning(isAwaited), timeoutMs);
  }

  async function check(step: CheckStep): Promise<void> {
    const turns = playedTurns();
    const last = turns.at(-1);
    if (last === undefined) return;
    const isOfCall = checks.includes(step);
    if (step.name === 'judge') return askJudge(step, turns);
    if (step.name === 'expect-same-request') return compareRequests(step);
    if (step.name === 'expect-tool' && step.outcome !== undefined)
      await toolsOver((tool) => tool === step.tool);
    const { conversationId } = speaker;
    const state =
      step.name === 'expect-state' ? await stage.state(conversationId) : undefined;
    const reasons = step.faultIn({ turns, last, state });
    if (reasons !== undefined) fail(step, reasons, 'expectation', isOfCall);
  }

  function compareRequests(step: StepOf<'expect-same-request'>): void {
    if (golden === undefined) throw new Error('an expect-same-request line needs a golden file');
    const sent = notebook.sentSince(firstOfTurn());
    const reasons = sent === undefined
      ? ['the model was not asked'] : golden(step.lineNumber, sent);
    if (reasons !== undefined) fail(step, reasons, 'request');
  }

  /** The place of the last turn's first delivery. */
  function firstOfTurn(): number {
    return deliveries.findLastIndex(({ exchange }) => exchange.opening?.name !== 'deliver-again');
  }

  async function askJudge(step: StepOf<'judge'>, turns: readonly PlayedTurn[]): Promise<void> {
    if (judge === undefined) throw new Error('a judge line needs a judge');
    const { outcome, reason } = await judge(step, turns, scenario);
    if (outcome === 'failed') fail(step, [reason], 'judge');
    if (outcome === 'undecided') undecided.push(`line ${step.lineNumber}: ${reason}`);
  }

  /** What the scenario lacks for the model and the tools that the agent has used. */
  function checkStandIns({ opening }: ScriptedExchange): void {
    for (const tool of notebook.barred) {
      fail(opening, [`${tool} has effects and was called: ${remedyFor(tool)}`]);
    }
    notebook.barred.clear();
    if (notebook.timesUnscripted > 0) {
      fail(opening, [
        'the model was asked once more than there are answers in the "model" lines here',
      ]);
      notebook.timesUnscripted = 0;
    }
  }

  /** Nothing more of this turn will be delivered. */
  async function endTurn(): Promise<void> {
    const last = deliveries.at(-1);
    if (last === undefined || !scenario.isScripted) return;
    const hadTrouble = deliveries
      .slice(firstOfTurn())
      .some(({ exchange }) => exchange.trouble !== undefined);
    const left = await stage.answersLeft();
    if (left === 0 || hadTrouble) return;
    const answers = left === 1 ? 'an answer' : `${left} answers`;
    const were = left === 1 ? 'was' : 'were';
    fail(last.exchange.opening, [`${answers} in the "model" lines here ${were} never asked for`]);
  }

  function playedTurns(): readonly PlayedTurn[] {
    return deliveries.map(({ exchange: { opening }, reply, ending, ...delivery }, index) => ({
      lineNumber: opening?.lineNumber,
      conversation: delivery.conversation,
      said: delivery.said,
      isAgain: opening?.name === 'deliver-again',
      heard: reply.heard,
      ending: ending === 'whole' && reply.failure !== undefined ? 'refused' : ending,
      state: delivery.state,
      hangsUp: reply.endsCallBy === 'hang-up',
      data: reply.data,
      firstWordMs: reply.firstWordMs,
      durationMs: reply.durationMs ?? 0,
      ...notebook.pageOf(index),
    }));
  }

  function fail(
    { lineNumber, written }: Line = { lineNumber: undefined, written: 'the welcome' },
    reasons: readonly string[],
    kind: ScenarioFailure['kind'] = 'course',
    isOfCall = false,
  ): void {
    failures.push({
      kind,
      lineNumber,
      written,
      reasons: reasons.map((reason) => oneLine(reason, 4_000)),
      turn: isOfCall ? undefined : deliveries.length - 1,
    });
  }

  function giveUp(line: Line | undefined, reasons: readonly string[]): never {
    fail(line, reasons);
    throw new CallOver();
  }

  const startedAtMs = performance.now();
  try {
    address = await stage.open();
    for (const act of acts) {
      signal?.throwIfAborted();
      const known = failures.length;
      try {
        await perform(act);
      } finally {
        onAct?.(act, failures.slice(known), playedTurns().at(-1));
      }
    }
    await endTurn();
    await hangUp();
    await toolsOver(() => true);
    await readStates();
  } catch (error) {
    if (error instanceof StageLost) fail(deliveries.at(-1)?.exchange.opening, [error.message]);
    else if (error instanceof CallOver) await readStates();
    else throw error;
  }
  for (const step of checks) await check(step);
  return {
    file, name,
    outcome: failures.length > 0 ? 'failed' : undecided.length > 0 ? 'undecided' : 'passed',
    failures,
    undecided,
    turns: playedTurns(),
    durationMs: performance.now() - startedAtMs,
  };
}

/** Resolves once nothing has arrived for a moment: what was sent has been heard. */
async function quiet(reply: CallerTurn): Promise<void> {
  // A local socket takes much less, and nothing tells when it is empty.
  const isMore = (): Promise<boolean> => {
    const { length } = reply.text;
    return reply.until(() => reply.isOver || reply.text.length !== length, QUIET_MS);
  };
  while (!reply.isOver && (await isMore())) continue;
}
