// Plays a talk with a fleet, records what can be seen from outside, and has the model check it.

import type { MessageTurn, Reply } from '../../../../src/core/agents/agent.ts';
import type { OnceCall } from '../../../../src/core/conversations/once-call.ts';
import type { ChatMessage } from '../../../../src/core/models/model.ts';
import { chosen, TalkRecord, type Gate } from '../talks.ts';
import { FleetCast, type Done } from './agents.ts';
import {
  isCutOff, heardOn, isOnce, saidBy, type Act, type Clearing, type FleetDelivery,
  type FleetLedger, type FleetRun, type FleetTurn,
} from './ledger.ts';
import { FleetModel } from './model.ts';
import { CONVERSATION, FleetStage, type Process } from './stage.ts';
import type { FleetEvent, FleetStep, FleetTalk } from './talk.ts';

export { TalkError as FleetError } from '../talks.ts';

/** Time for what nobody waits for: questions to dead processes, and claims being taken back. */
const SETTLING_MS = 90_000;

/** The parts of a stored turn that are looked at. */
interface StoredTurn {
  readonly process?: string;
  readonly messages?: readonly { readonly key?: string; readonly process?: string }[];
}

/** A report of how much of a turn was heard. */
interface HeardBefore {
  readonly turn: FleetTurn;
  readonly context: Readonly<Record<string, unknown>> & { readonly text_heard: string };
}

function actsIn(state: unknown): readonly number[] {
  return (state as Done | undefined)?.acts ?? [];
}

export async function playFleetTalk(talk: FleetTalk): Promise<void> {
  await new Play(talk).run();
}

class Play {
  readonly #talk: FleetTalk;
  readonly #stage: FleetStage;
  readonly #cast: FleetCast;
  readonly #model: FleetModel;
  readonly #ledger: FleetLedger = { turns: [], deliveries: [], runs: [], acts: [], clearings: [] };
  readonly #record: TalkRecord;
  #step = 0;

  constructor(talk: FleetTalk) {
    this.#talk = talk;
    const { seed, processes, troubles } = talk;
    this.#record = new TalkRecord(
      `talk ${seed} with ${processes} processes (${[...troubles].join(', ')})`,
    );
    this.#model = new FleetModel(this.#ledger, talk);
    this.#cast = new FleetCast(
      {
        begin: (turn, reply) => this.#begin(turn, reply),
        ask: (run, messages) => this.#ask(run, messages),
        act: (act, delivery) => this.#act(act, delivery),
        note: (line) => this.#note(line),
      },
      talk.fates,
    );
    this.#stage = new FleetStage(talk, this.#cast.agents);
  }

  async run(): Promise<void> {
    await this.#record.during(() => this.#play(), async () => {
      this.#cast.gates.end();
      await this.#stage.dispose();
    });
  }

  async #play(): Promise<void> {
    await this.#stage.open(this.#talk.processes);
    for (const step of this.#talk.steps) {
      this.#step += 1;
      await this.#take(step);
      await this.#stage.quiet();
      await this.#stage.pass(step.passesMs);
      this.#look();
      this.#record.check();
    }
    await this.#finish();
  }

  /** Everything works again, and goes on until nothing is left to do. */
  async #finish(): Promise<void> {
    this.#step += 1;
    this.#note('the end');
    const { post } = this.#stage;
    post.condition = 'well';
    post.deliver();
    for (const process of this.#stage.processes) this.#stage.setStore(process, 'well');
    const isDone = await this.#stage.passUntil(() => this.#isDone());
    if (!isDone) this.#record.wrongs.push('it does not come to an end');
    await this.#stage.pass(SETTLING_MS);
    // Each process notices what the store has lost, and puts it back.
    for (let round = 0; round < 2; round++)
      for (const { place, app: { conversations } } of this.#stage.processes) {
        await this.#stage.clock.as(place, () => conversations.read(CONVERSATION));
        await this.#stage.quiet();
      }
    this.#record.check();
    const kept = await Promise.all(
      this.#stage.processes.map(async ({ app }) => ({
        history: await app.conversations.getHistory(CONVERSATION),
        onceCalls: (await app.conversations.read(CONVERSATION))?.onceCalls ?? {},
        acts: actsIn(await app.conversations.getState(CONVERSATION)),
      })),
    );
    const [first] = kept;
    if (first === undefined) return;
    // `once` calls have no order, and released ones mean nothing.
    const texts = kept.map(({ history, onceCalls, acts }) => {
      const calls = Object.entries(onceCalls).filter(([, { state }]) => state !== 'released');
      return JSON.stringify([history, calls.sort(), acts]);
    });
    if (new Set(texts).size > 1 && !this.#model.mayDiffer)
      this.#record.wrongs.push('the processes have different histories');
    const wrongs = this.#model.wrongsAtTheEnd(first, this.#stage.clock.nowMs);
    this.#record.judge(wrongs, first.history, first.onceCalls);
    this.#record.check();
  }

  #isDone(): boolean {
    const gates = this.#cast.gates.takeAll();
    for (const gate of gates) this.#open(gate);
    return (
      gates.length === 0 &&
      this.#stage.runningTurns === 0 &&
      this.#ledger.acts.every(({ ended, process }) => ended !== 'not yet' || process.isDead) &&
      this.#ledger.deliveries.every(
        (delivery) => isCutOff(delivery) || delivery.caller?.hasEnded === true,
      ) &&
      this.#stage.processes.every((process) => !process.isAway)
    );
  }

  // What a step does.

  async #take(step: FleetStep): Promise<void> {
    const { post } = this.#stage;
    switch (step.do) {
      case 'message':
        return this.#newTurn(step);
      case 'deliver again': {
        const turns = this.#ledger.turns.filter(({ event }) => 'turn_id' in event);
        const turn = chosen(turns.toReversed(), step.pick);
        return turn === undefined ? undefined : this.#deliver(turn, step.at);
      }
      case 'drop': {
        const open = this.#ledger.deliveries.filter(
          (delivery) => !isCutOff(delivery) && delivery.caller?.hasEnded === false,
        );
        const dropped = chosen(open, step.pick);
        if (dropped === undefined) return;
        this.#note(`the caller of ${dropped.turn.words} leaves`);
        return dropped.caller?.drop();
      }
      case 'go on': {
        const gate = this.#cast.gates.take(step.pick);
        return gate === undefined ? undefined : this.#open(gate);
      }
      case 'store':
        this.#note(`the store of process ${step.at} is ${step.becomes}`);
        return this.#stage.setStore(this.#processAt(step.at), step.becomes);
      case 'lose':
        return this.#lose(step.what);
      case 'crash':
        this.#note(`process ${step.at} crashes, another takes its place`);
        return this.#stage.crash(this.#processAt(step.at));
      case 'post':
        this.#note(`messages are ${step.becomes}`);
        post.condition = step.becomes;
        if (step.becomes === 'well') post.deliver();
        return;
      case 'clear':
        return this.#clear(this.#processAt(step.at));
    }
  }

  #processAt(place: number): Process {
    const process = this.#stage.processes[place];
    if (process === undefined) throw new Error(`no process ${place}`);
    return process;
  }

  #open(gate: Gate): void {
    this.#note(gate.what);
    gate.open();
  }

  async #newTurn(
    { ops, hasId, at, heard }: FleetEvent & { readonly do: 'message' },
  ): Promise<void> {
    const number = this.#ledger.turns.length;
    const words = `w${number}`;
    const before = heard === undefined ? undefined : this.#heardBefore(heard);
    const event = {
      type: 'message',
      session_id: 's-1',
      conversation_id: CONVERSATION,
      text: words,
      ...(hasId ? { turn_id: `t${number}` } : {}),
      ...(before === undefined ? {} : { interruption_context: before.context }),
    };
    const turn: FleetTurn = {
      number, words, ops, event, deliveries: [], runs: [], report: undefined, isStored: false,
    };
    this.#ledger.turns.push(turn);
    if (before !== undefined)
      before.turn.report = { text: before.context.text_heard, by: turn, isKnown: true };
    await this.#deliver(turn, at);
  }

  /**
   * How much of the turn before was heard, if its only run has said something to its only caller.
   */
  #heardBefore(part: number): HeardBefore | undefined {
    const turn = this.#ledger.turns.at(-1);
    const [run] = turn?.runs ?? [];
    const [delivery] = turn?.deliveries ?? [];
    if (turn === undefined || run === undefined || delivery === undefined) return undefined;
    const pieces = heardOn(delivery).match(/a\d+\.\d+ /g) ?? [];
    const isOnly = turn.runs.length === 1 && turn.deliveries.length === 1;
    const isOfRun = pieces.length > 0 && saidBy(run).startsWith(pieces.join(''));
    if (!isOnly || !isOfRun) return undefined;
    const heard = pieces.slice(0, Math.round(part * pieces.length));
    this.#note(`${heard.length} of ${pieces.length} words of ${turn.words} were heard`);
    return {
      turn,
      context: {
        previous_turn_interrupted: true, words_heard: heard.length, text_heard: heard.join(''),
        assistant_turn_id: run.turnId,
      },
    };
  }

  async #deliver(turn: FleetTurn, at: number): Promise<void> {
    const process = this.#processAt(at);
    const number = this.#ledger.deliveries.length;
    const delivery: FleetDelivery = {
      turn, process, step: this.#step, arrivedAtMs: this.#stage.clock.nowMs,
      isKnown: this.#hasWords(turn), wasAway: process.isAway, isOver: false, caller: undefined,
      run: undefined,
    };
    this.#ledger.deliveries.push(delivery);
    turn.deliveries.push(delivery);
    const reported = this.#ledger.turns.find(({ report }) => report?.by === turn);
    if (reported?.report !== undefined && !this.#mayKnow(delivery, reported))
      reported.report.isKnown = false;
    this.#note(`${turn.words} arrives at process ${at}`);
    const event = { ...turn.event, custom_metadata: { delivery: number } };
    delivery.caller = await this.#stage.send(process, event);
  }

  /** Whether its process can know the other turn, or knows that it cannot. */
  #mayKnow({ process, wasAway }: FleetDelivery, other: FleetTurn): boolean {
    return wasAway || this.#hasWords(other) || other.deliveries[0]?.process === process;
  }

  #lose(what: (FleetEvent & { readonly do: 'lose' })['what']): void {
    if (what === 'nothing yet') return this.#stage.backUp();
    this.#note(`the store loses ${what}`);
    if (what === 'everything') this.#stage.loseEverything();
    else this.#stage.loseLastWrites();
    for (const act of this.#ledger.acts)
      act.isLost ||= isOnce(act) && !this.#hasClaim(act);
    for (const turn of this.#ledger.turns) turn.isStored &&= this.#hasWords(turn);
    for (const clearing of this.#ledger.clearings)
      if (!this.#hasMark(clearing)) clearing.storedBy = Infinity;
  }

  async #clear(process: Process): Promise<void> {
    this.#note(`process ${process.place} forgets the conversation`);
    const { clock } = this.#stage;
    const noteCleared = (): void => {
      for (const act of this.#ledger.acts) {
        act.isCleared = true;
        act.isForgotten ||= act.ended === 'returned';
      }
    };
    noteCleared();
    const clearing: Clearing = {
      step: this.#step, atMs: clock.nowMs, process,
      mark: 0, wasAway: false, storedBy: Infinity, wasStored: false,
    };
    this.#ledger.clearings.push(clearing); // turns may open before it has ended
    let isCleared = false;
    const { conversations } = process.app;
    const clear = async (): Promise<void> => conversations.clear(CONVERSATION);
    const cleared = clock.as(process.place, clear).finally(() => {
      isCleared = true;
    });
    await this.#stage.quiet();
    await clock.pass(1_000, this.#stage.quiet); // a slow store times out
    await this.#stage.passUntil(() => isCleared); // it may wait for an opening, which is patient
    await cleared;
    clearing.mark = process.app.conversations.remembered(CONVERSATION)?.erasedAt ?? 0;
    clearing.wasAway = process.isAway;
    noteCleared();
  }

  // What is recorded.

  #begin(turn: MessageTurn, reply: Reply): FleetRun {
    const delivery = this.#ledger.deliveries[Number(turn.metadata['delivery'])];
    if (delivery === undefined) throw new Error('a turn of no delivery');
    const run: FleetRun = {
      n: this.#ledger.runs.length + 1, turn: delivery.turn, delivery, process: delivery.process,
      step: this.#step, startedAtMs: this.#stage.clock.nowMs, turnId: turn.turnId, pieces: [],
      calls: new Set(), hasFailed: false, abortReason: undefined, isOver: () => reply.isOver,
    };
    this.#note(`  process ${run.process.place} asks its agent for ${run.turn.words}: run ${run.n}`);
    turn.signal.addEventListener('abort', () => {
      run.abortReason = (turn.signal.reason as Error).message;
      this.#note(`  run ${run.n} is ended: ${run.abortReason}`);
      if (run.process.isDead) return;
      this.#record.wrongs.push(...this.#model.wrongsOfAbort(run, this.#stage.clock.nowMs));
    });
    this.#ledger.runs.push(run);
    if (run.process.isDead) return run;
    delivery.run = run;
    delivery.turn.runs.push(run);
    return run;
  }

  #ask(run: FleetRun, messages: readonly ChatMessage[]): void {
    if (run.process.isDead) return;
    const { nowMs } = this.#stage.clock;
    this.#record.wrongs.push(...this.#model.wrongsOfPrompt(run, messages, nowMs));
  }

  #act(
    { tool, args, agent, key, turnId }: Pick<Act, 'tool' | 'args' | 'agent' | 'key' | 'turnId'>,
    number: number,
  ): Act {
    const delivery = this.#ledger.deliveries[number];
    if (delivery === undefined) throw new Error('a tool was called for no delivery');
    const { process } = delivery;
    const act: Act = {
      n: this.#ledger.acts.length, tool, args, agent, key, turnId, delivery, process,
      step: this.#step, beganAtMs: this.#stage.clock.nowMs, ended: 'not yet', result: undefined,
      isLost: false, isCleared: this.#isUnrecorded(turnId, process), isForgotten: false,
    };
    this.#note(`  act ${act.n} begins in process ${process.place}: ${tool} ${args} of ${turnId}`);
    if (process.isDead) return { ...act, n: -1 };
    const claim = this.#stage.stored.get(`once-${key}`);
    const isStored = (other: Act): boolean => this.#hasCall(other);
    this.#record.wrongs.push(...this.#model.wrongsOfAct(act, claim, isStored));
    this.#ledger.acts.push(act);
    return act;
  }

  /** Whether the conversation has been cleared since the turn's run began. */
  #isUnrecorded(turnId: string, process: Process): boolean {
    const run = this.#ledger.runs.findLast((of) => of.turnId === turnId && of.process === process);
    return this.#ledger.clearings.some(({ step }) => run !== undefined && step > run.step);
  }

  #note(line: string): void {
    this.#stage.news();
    this.#record.note(`${String(this.#stage.clock.nowMs).padStart(6)} ${line}`);
  }

  /** Looks at what the database has now. */
  #look(): void {
    for (const delivery of this.#ledger.deliveries) {
      if (delivery.isOver) continue;
      delivery.wasAway ||= delivery.process.isAway;
      delivery.isOver = delivery.caller?.hasEnded === true;
    }
    for (const turn of this.#ledger.turns) turn.isStored ||= this.#hasWords(turn);
    for (const clearing of this.#ledger.clearings) {
      if (clearing.storedBy < Infinity || !this.#hasMark(clearing)) continue;
      clearing.storedBy = this.#step;
      clearing.wasStored = true;
    }
    for (const act of this.#ledger.acts) act.isLost &&= !this.#hasClaim(act);
  }

  #hasWords({ words }: FleetTurn): boolean {
    return [...this.#stage.stored.values()].some((part) => part.includes(`"${words}"`));
  }

  /** Whether the database has the call, as one that this process made. */
  #hasCall({ key, process }: Act): boolean {
    return [...this.#stage.stored].some(([name, part]) => {
      if (!/^\d+$/.test(name) || !part.includes(key)) return false;
      const { messages = [], process: owner } = JSON.parse(part) as StoredTurn;
      const { address } = process.channel;
      return messages.some((call) => call.key === key && (call.process ?? owner) === address);
    });
  }

  #hasMark({ mark }: { readonly mark: number }): boolean {
    const head = JSON.parse(this.#stage.stored.get('head') ?? '{}') as { erasedAt?: number };
    return mark > 0 && (head.erasedAt ?? 0) >= mark;
  }

  #hasClaim({ key, turnId, process }: Act): boolean {
    const claim = JSON.parse(this.#stage.stored.get(`once-${key}`) ?? '{}') as Partial<OnceCall>;
    return claim.turnId === turnId && claim.process === process.channel.address;
  }
}
