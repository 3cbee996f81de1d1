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

/** Longest wait for what follows at once, unless something is broken. */
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

/** Who plays, and where. */
export interface Playing {
  readonly stage: Stage;
  readonly notebook: Notebook;
  /** A caller from this number. `address`: where the agent is at the moment. */
  readonly callerFrom: (from: string | undefined, address: () => Address) => CallerSession;
  /** A failure in words for the report. */
  readonly explain: (failure: CallFailure) => string;
  /** Gets each act as it is over, with what failed in it, and the last turn. */
  readonly onAct?: (
    act: Act, failures: readonly ScenarioFailure[], turn: PlayedTurn | undefined,
  ) => void;
}

/** A call that a scenario plays once. */
export class Play {
  readonly #scenario: Scenario;
  readonly #options: PlayOptions;
  readonly #playing: Playing;
  readonly #stage: Stage;
  readonly #notebook: Notebook;
  readonly #deliveries: PlayedExchange[] = [];
  readonly #failures: ScenarioFailure[] = [];
  readonly #undecided: string[] = [];
  /** Tools that a mock has made hang. */
  readonly #hanging = new Set<string>();
  #address: Address = { origin: '', route: '' };
  #caller: CallerSession | undefined;
  #conversation = 0;

  constructor(scenario: Scenario, options: PlayOptions, playing: Playing) {
    this.#scenario = scenario;
    this.#options = options;
    this.#playing = playing;
    this.#stage = playing.stage;
    this.#notebook = playing.notebook;
  }

  /** `problemsOf` must have found nothing. Rejects with the reason of the signal. */
  async run(): Promise<ScenarioResult> {
    const startedAtMs = performance.now();
    const { file, name, acts } = this.#scenario;
    try {
      this.#address = await this.#stage.open();
      for (const act of acts) {
        this.#options.signal?.throwIfAborted();
        const known = this.#failures.length;
        try {
          await this.#perform(act);
        } finally {
          this.#playing.onAct?.(act, this.#failures.slice(known), this.#turns().at(-1));
        }
      }
      await this.#endTurn();
      await this.#hangUp();
      await this.#toolsOver(() => true);
      await this.#readStates();
    } catch (error) {
      if (error instanceof StageLost)
        this.#fail(this.#deliveries.at(-1)?.exchange.opening, [error.message]);
      else if (error instanceof CallOver) await this.#readStates();
      else throw error;
    }
    for (const step of this.#scenario.checks) await this.#check(step);
    const undecided = this.#undecided;
    return {
      file, name,
      outcome: this.#failures.length > 0
        ? 'failed' : undecided.length > 0 ? 'undecided' : 'passed',
      failures: this.#failures,
      undecided,
      turns: this.#turns(),
      durationMs: performance.now() - startedAtMs,
    };
  }

  get #speaking(): CallerSession {
    return (this.#caller ??= this.#callerFrom(this.#scenario.origin.from));
  }

  #callerFrom(from: string | undefined): CallerSession {
    return this.#playing.callerFrom(from, () => this.#address);
  }

  async #perform(act: Act): Promise<void> {
    switch (act.name) {
      case 'exchange':
        return this.#exchange(act);
      case 'mock':
        if (act.outcome.kind === 'hangs') this.#hanging.add(act.tool);
        return this.#stage.mock(act);
      case 'data':
        return this.#sendData(act);
      case 'caller':
        return this.#converse(act);
      case 'restart':
      case 'kill':
        return this.#beginAnew(act.name);
      case 'store':
        await this.#ownProcess.stall(act.awayMs);
        return;
      case 'elsewhere':
        this.#address = await this.#ownProcess.switch();
        return;
      default:
        return this.#check(act);
    }
  }

  async #beginAnew(name: 'restart' | 'kill'): Promise<void> {
    this.#address = await (name === 'kill' ? this.#ownProcess.kill() : this.#stage.restart());
  }

  /** A model plays the caller until they hang up. */
  async #converse(step: StepOf<'caller'>): Promise<void> {
    const { lineNumber, written, maxTurns } = step;
    for (let said = 0; ; said += 1) {
      const move = await this.#nextMove(step);
      if ('hangsUp' in move) {
        if (!move.hasReachedGoal) this.#fail(step, [`the caller gave up: ${move.reason}`], 'judge');
        return;
      }
      if (this.#hasHungUp) this.#giveUp(step, [`the agent has hung up on: ${move.say}`]);
      if (said === maxTurns)
        this.#giveUp(step, [`the caller did not get what they want in ${maxTurns} turns`]);
      const opening = { name: 'say', text: move.say, lineNumber, written } as const;
      await this.#exchange({
        name: 'exchange', opening, answers: [], meanwhile: [], trouble: undefined,
      });
    }
  }

  async #nextMove(step: StepOf<'caller'>): Promise<CallerMove> {
    const { playedCaller } = this.#options;
    if (playedCaller === undefined) throw new Error('a caller line needs a model');
    const turns = this.#turns().filter(({ conversation }) => conversation === this.#conversation);
    try {
      return await playedCaller(step, turns);
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      this.#undecided.push(`line ${step.lineNumber}: the caller failed: ${messageOf(error)}`);
      throw new CallOver();
    }
  }

  /** Delivers a turn, and waits for the end of its reply. */
  async #exchange(exchange: ScriptedExchange): Promise<void> {
    const { opening, answers, trouble } = exchange;
    const isAgain = opening?.name === 'deliver-again';
    if (!isAgain) {
      await this.#endTurn();
      if (opening?.name === 'call') await this.#nextCall(opening.from);
      else if (this.#hasHungUp) this.#giveUp(opening, ['the agent has hung up']);
    }
    const caller = this.#speaking;
    const words = opening?.name === 'say' ? opening.text : undefined;
    const said = isAgain ? this.#deliveries.at(-1)?.said : words;
    this.#notebook.turnPage();
    if (!isAgain || answers.length > 0) await this.#stage.prepare(answers);
    if (trouble !== undefined && 'tool' in trouble.at) await this.#stage.hold(trouble.at);
    caller.finishPlaying(); // what was not spoken over was heard
    const reply = isAgain
      ? caller.deliverAgain()
      : words === undefined ? caller.start() : caller.say(words);
    const conversation = this.#conversation;
    const delivery: PlayedExchange = {
      exchange, said, caller, conversation, reply, ending: 'whole', state: undefined,
    };
    this.#deliveries.push(delivery);
    for (const step of exchange.meanwhile) await this.#sendData(step);
    if (trouble !== undefined) await this.#makeTrouble(trouble, delivery);
    await this.#hearOut(delivery);
    await this.#stage.settled(caller.conversationId, SOON_MS);
    const { failure } = delivery.reply;
    if (failure !== undefined && delivery.ending === 'whole')
      this.#giveUp(opening, [this.#playing.explain(failure)]);
    this.#checkStandIns(exchange);
  }

  get #hasHungUp(): boolean {
    return this.#deliveries.at(-1)?.reply.endsCallBy === 'hang-up';
  }

  async #readStates(): Promise<void> {
    for (const delivery of this.#deliveries) {
      const { reply, caller } = delivery;
      delivery.state = await this.#stage.turnState(caller.conversationId, reply.id);
    }
  }

  async #nextCall(from: string | undefined): Promise<void> {
    await this.#hangUp();
    this.#caller = from === undefined ? this.#speaking.again() : this.#callerFrom(from);
    if (from !== undefined) this.#conversation += 1;
  }

  async #hearOut({ reply, exchange }: PlayedExchange): Promise<void> {
    const { timeoutMs, signal } = this.#options;
    const stop = (): void => void reply.stop();
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted === true) stop();
    const isOver = await reply.over(timeoutMs);
    signal?.removeEventListener('abort', stop);
    if (isOver) return;
    reply.stop();
    this.#giveUp(exchange.opening, [`the reply had no end after ${timeoutMs / 1_000} s`]);
  }

  async #makeTrouble(trouble: TroubleAt, delivery: PlayedExchange): Promise<void> {
    const { reply } = delivery;
    const { at } = trouble;
    if ('words' in at) {
      if (!(await reply.hear(at.words, this.#options.timeoutMs))) {
        const { isOver, failure, words: { said, heard } } = reply;
        if (failure !== undefined) return;
        return this.#fail(trouble, [isOver && said <= at.words
          ? `the reply had only ${counted(said, 'word')}`
          : `the caller heard only ${counted(heard, 'word')}`]);
      }
    } else {
      const { tool } = at;
      await Promise.race([
        this.#notebook.watchers.until(() => this.#notebook.isHeld(tool), this.#options.timeoutMs),
        reply.over(this.#options.timeoutMs),
      ]);
      if (!this.#notebook.isHeld(tool)) {
        await this.#stage.release();
        return this.#fail(trouble, [`${tool} did not run`]);
      }
      await this.#heardSoFar(reply, tool);
    }
    await this.#do(trouble, delivery);
    await this.#stage.release();
  }

  /** Resolves once the caller has heard what was said before the tool. */
  async #heardSoFar(reply: CallerTurn, tool: string): Promise<void> {
    const isShown = (): boolean => reply.data.some(
      (content) => isObject(content) && content['tool'] === tool,
    );
    if (this.#notebook.isShown && this.#scenario.origin.platform === 'layercode')
      await reply.until(() => isShown() || reply.isOver, SOON_MS);
    else await quiet(reply);
  }

  async #do(trouble: TroubleAt, delivery: PlayedExchange): Promise<void> {
    const { reply, caller } = delivery;
    switch (trouble.name) {
      case 'interrupt':
      case 'drop':
        if (trouble.name === 'drop') reply.stop();
        else caller.interrupt();
        delivery.ending = trouble.name === 'drop' ? 'dropped' : 'interrupted';
        await this.#stage.settled(caller.conversationId, SOON_MS);
        return;
      case 'restart':
      case 'kill':
        delivery.ending = 'dropped';
        await this.#beginAnew(trouble.name);
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

  get #ownProcess(): OwnProcess {
    const { own } = this.#stage;
    if (own === undefined) throw new Error('the agent has no process of its own');
    return own;
  }

  async #hangUp(): Promise<void> {
    this.#speaking.finishPlaying();
    const refusal = await this.#refusalOf(this.#speaking.end());
    const end = { lineNumber: undefined, written: 'the end of the call' };
    if (refusal !== undefined) this.#fail(end, [refusal], 'course', true);
  }

  async #sendData(step: StepOf<'data'>): Promise<void> {
    const refusal = await this.#refusalOf(this.#speaking.data(step.data));
    if (refusal !== undefined) this.#fail(step, [refusal]);
  }

  async #refusalOf(answer: CallerTurn): Promise<string | undefined> {
    const { timeoutMs } = this.#options;
    if (!(await answer.over(timeoutMs))) return `no answer after ${timeoutMs / 1_000} s`;
    const { failure } = answer;
    return failure === undefined ? undefined : this.#playing.explain(failure);
  }

  /** Waits for tools, unless a mock makes them hang. */
  async #toolsOver(counts: (tool: string) => boolean): Promise<void> {
    const isAwaited = (tool: string): boolean => counts(tool) && !this.#hanging.has(tool);
    const { timeoutMs } = this.#options;
    await this.#notebook.watchers.until(() => !this.#notebook.isRunning(isAwaited), timeoutMs);
  }

  async #check(step: CheckStep): Promise<void> {
    const turns = this.#turns();
    const last = turns.at(-1);
    if (last === undefined) return;
    const isOfCall = this.#scenario.checks.includes(step);
    if (step.name === 'judge') return this.#askJudge(step, turns);
    if (step.name === 'expect-same-request') return this.#compareRequests(step);
    if (step.name === 'expect-tool' && step.outcome !== undefined)
      await this.#toolsOver((tool) => tool === step.tool);
    const { conversationId } = this.#speaking;
    const state =
      step.name === 'expect-state' ? await this.#stage.state(conversationId) : undefined;
    const reasons = step.faultIn({ turns, last, state });
    if (reasons !== undefined) this.#fail(step, reasons, 'expectation', isOfCall);
  }

  #compareRequests(step: StepOf<'expect-same-request'>): void {
    const { golden } = this.#options;
    if (golden === undefined) throw new Error('an expect-same-request line needs a golden file');
    const sent = this.#notebook.sentSince(this.#firstOfTurn());
    const reasons = sent === undefined
      ? ['the model was not asked'] : golden(step.lineNumber, sent);
    if (reasons !== undefined) this.#fail(step, reasons, 'request');
  }

  /** The place of the last turn's first delivery. */
  #firstOfTurn(): number {
    return this.#deliveries.findLastIndex(
      ({ exchange }) => exchange.opening?.name !== 'deliver-again',
    );
  }

  async #askJudge(
    step: StepOf<'judge'>,
    turns: readonly PlayedTurn[],
  ): Promise<void> {
    const { judge } = this.#options;
    if (judge === undefined) throw new Error('a judge line needs a judge');
    const { outcome, reason } = await judge(step, turns, this.#scenario);
    if (outcome === 'failed') this.#fail(step, [reason], 'judge');
    if (outcome === 'undecided') this.#undecided.push(`line ${step.lineNumber}: ${reason}`);
  }

  /** What the scenario lacks for the model and the tools that the agent has used. */
  #checkStandIns({ opening }: ScriptedExchange): void {
    for (const tool of this.#notebook.barred) {
      this.#fail(opening, [`${tool} has effects and was called: ${remedyFor(tool)}`]);
    }
    this.#notebook.barred.clear();
    if (this.#notebook.timesUnscripted > 0) {
      this.#fail(opening, ['the model was asked once more than it has lines here']);
      this.#notebook.timesUnscripted = 0;
    }
  }

  /** Nothing more of this turn will be delivered. */
  async #endTurn(): Promise<void> {
    const last = this.#deliveries.at(-1);
    if (last === undefined || !this.#scenario.isScripted) return;
    const hadTrouble = this.#deliveries
      .slice(this.#firstOfTurn())
      .some(({ exchange }) => exchange.trouble !== undefined);
    const left = await this.#stage.answersLeft();
    if (left === 0 || hadTrouble) return;
    const answers = left === 1 ? 'an answer' : `${left} answers`;
    this.#fail(last.exchange.opening, [`the model was not asked for ${answers} of its lines here`]);
  }

  #turns(): readonly PlayedTurn[] {
    return this.#deliveries.map(({ exchange: { opening }, reply, ending, ...delivery }, index) => ({
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
      ...this.#notebook.pageOf(index),
    }));
  }

  #fail(
    { lineNumber, written }: Line = { lineNumber: undefined, written: 'the welcome' },
    reasons: readonly string[],
    kind: ScenarioFailure['kind'] = 'course',
    isOfCall = false,
  ): void {
    this.#failures.push({
      kind,
      lineNumber,
      written,
      reasons: reasons.map((reason) => oneLine(reason, 4_000)),
      turn: isOfCall ? undefined : this.#deliveries.length - 1,
    });
  }

  #giveUp(line: Line | undefined, reasons: readonly string[]): never {
    this.#fail(line, reasons);
    throw new CallOver();
  }
}

/** Resolves once nothing has arrived for a moment: what was sent has been heard. */
async function quiet(reply: CallerTurn): Promise<void> {
  // A local socket takes much less, and nothing says that it is empty.
  const isMore = (): Promise<boolean> => {
    const { length } = reply.text;
    return reply.until(() => reply.isOver || reply.text.length !== length, QUIET_MS);
  };
  while (!reply.isOver && (await isMore())) continue;
}
