// Plays a talk against a real app, records what can be seen from outside, and has the model of the
// turn check it.

import type { MessageTurn, Reply, StartTurn } from '../../../src/core/agents/agent.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import type { Delivery, Ledger, Run } from './ledger.ts';
import { Cast, type Entry, type Work } from './talk-agents.ts';
import type { Caller } from './talk-connections.ts';
import { CONVERSATION, Stage, type Failure } from './talk-stage.ts';
import type { Heard, Plan, Step, Talk } from './talk.ts';
import { chosen, TalkRecord, type Gate } from './talks.ts';
import { APOLOGY, got, heardBy, said, turnHeard, wrongsOf, wrongsOnTheWire } from './turn-model.ts';

export { TalkError } from './talks.ts';

interface Sent extends Delivery {
  readonly context: Context | undefined;
  readonly turn: Entry;
  readonly caller: Caller;
}

/** What a message reports on the reply before it. */
interface Context {
  readonly fields: object;
  readonly heard: string | undefined;
  /** The turns before the message, up to the one that it names. */
  readonly before: readonly Entry[];
  /** The last turn before the message. */
  readonly newest: Entry | undefined;
}

/** How a talk in which nothing was wrong went. */
export interface Played {
  /** Whether the planned failure was reached. */
  readonly hasFailed: boolean;
  readonly steps: number;
}

export async function playTalk(talk: Talk, failure?: Failure): Promise<Played> {
  return new Play(talk, failure).run();
}

class Play {
  readonly #talk: Talk;
  readonly #failure: Failure | undefined;
  readonly #cast: Cast;
  readonly #stage: Stage;
  readonly #record: TalkRecord;
  readonly #ledger: Ledger<Entry>;
  readonly #sent: Sent[] = [];
  #clock = 0;
  /** Whether the previous step is done: then the app knows what this player knows. */
  #isQuiet = true;
  #words = 0;
  /** The number of the first delivery after the last crash. */
  #firstLiving = 0;
  /** The running turn, if any. */
  #current: Entry | undefined;
  /** The last delivery that began or joined a turn. */
  #lastBegun: Sent | undefined;
  /** Whether an event of the platform may have ended that turn since. */
  #isLastInterrupted = false;

  constructor(talk: Talk, failure: Failure | undefined) {
    this.#talk = talk;
    const { seed, agent: kind, store } = talk;
    this.#record = new TalkRecord(`talk ${seed} (${kind} agent, ${store} store)`);
    this.#failure = failure;
    this.#ledger = { turns: [], isHarmed: failure !== undefined };
    this.#cast = new Cast({
      begin: (turn, reply) => this.#begin(turn, reply),
      entryOf: (number) => this.#ledger.turns.find((entry) => entry.number === number),
      note: (line) => this.#note(line),
    });
    const agent = kind === 'scripted' ? this.#cast.scriptedAgent() : this.#cast.modelAgent();
    this.#stage = new Stage(talk.store, agent);
  }

  async run(): Promise<Played> {
    await this.#record.during(() => this.#play(), async () => {
      this.#cast.gates.end();
      await this.#stage.dispose();
    });
    return { hasFailed: this.#stage.hasFailed, steps: this.#talk.steps.length };
  }

  async #play(): Promise<void> {
    await this.#stage.open();
    if (this.#failure !== undefined) this.#stage.plan(this.#failure);
    for (const step of this.#talk.steps) {
      await this.#take(step);
      // With two processes the store decides the order of arrival.
      this.#isQuiet = step.isRushed !== true || this.#talk.store === 'machines';
      if (!this.#isQuiet) continue;
      await this.#stage.quiet();
      await this.#check();
    }
    await this.#finish();
  }

  /** Lets everything go on until nothing is left to do, or stops the app in the middle. */
  async #finish(): Promise<void> {
    if (this.#talk.isStopped) {
      this.#note('the app is stopped');
      await this.#stage.stop(() => this.#cast.gates.end());
      this.#note('the app has stopped');
      return this.#check();
    }
    this.#stage.store.release();
    for (let isDone = false; !isDone;) {
      await this.#stage.quiet();
      const gates = this.#cast.gates.takeAll();
      isDone = gates.length === 0;
      for (const gate of gates) this.#open(gate);
      if (isDone && this.#failure?.kind === 'late timer') {
        this.#stage.timers.fireLate();
        await this.#stage.quiet();
      }
    }
    this.#note('the end');
    await this.#check();
    if (this.#stage.runningTurns > 0) this.#fail('turns run on when all agents are done');
    const last = this.#lastBegun;
    const run = last?.run ?? last?.turn.runs.at(-1);
    if (
      this.#failure !== undefined ||
      last === undefined ||
      last.isCutOff() ||
      this.#isLastInterrupted
    )
      return;
    if (!last.caller.hasEnded) this.#fail('the last caller still waits');
    if (run === undefined) this.#fail('the agent was never asked what the last caller was told');
    else if (!run.hasFailed && heardBy(last, true) !== said(run))
      this.#fail(
        `the last caller was to hear ${JSON.stringify(said(run))}, `
        + `and heard ${JSON.stringify(heardBy(last, true))}`,
      );
  }

  // What a step does.

  async #take(step: Step): Promise<void> {
    const { store } = this.#stage;
    switch (step.do) {
      case 'message':
        return this.#newTurn(step.plan, step.hasId, `w${++this.#words}`, step.heard, step.breaks);
      case 'start':
        return this.#newTurn(step.plan, step.hasId, undefined, undefined, false);
      case 'deliver again':
        return this.#deliverAgain(step.pick, step.hasOtherWords, step.breaks);
      case 'drop': {
        const open = this.#sent.filter(({ caller }) => !caller.hasLeft && !caller.hasEnded);
        const dropped = chosen(open, step.pick);
        if (dropped === undefined) return;
        const heard = JSON.stringify(heardBy(dropped, false));
        this.#note(`the caller of ${dropped.turn.label} leaves, with ${heard}`);
        return dropped.caller.drop();
      }
      case 'go on': {
        const gate = this.#cast.gates.take(step.pick);
        return gate === undefined ? undefined : this.#open(gate);
      }
      case 'hold the store':
        if (this.#talk.store === 'memory' || this.#talk.store === 'machines') return;
        this.#note('the store is held');
        store.isHeld = true;
        return;
      case 'grant a call':
        if (store.held === 0) return;
        this.#note('the store answers a call');
        return store.grant();
      case 'release the store':
        if (!store.isHeld) return;
        this.#note('the store is released');
        return store.release();
      case 'crash':
        return this.#crash();
      case 'interrupted by the platform':
        return this.#interrupt();
    }
  }

  #open(gate: Gate): void {
    this.#note(gate.what);
    gate.open();
  }

  async #newTurn(
    plan: Plan, hasId: boolean, words: string | undefined, heard: Heard | undefined,
    breaks: boolean,
  ): Promise<void> {
    const number = this.#ledger.turns.length;
    const entry: Entry = {
      label: words ?? `start ${number}`,
      words,
      number,
      plan,
      turnId: hasId ? `t${number}` : undefined,
      event: {
        type: words === undefined ? 'session.start' : 'message',
        session_id: 's-1',
        conversation_id: CONVERSATION,
        ...(hasId ? { turn_id: `t${number}` } : {}),
        ...(words === undefined ? {} : { text: words }),
      },
      isUnkept: !hasId && words === undefined,
      ...untouched(),
    };
    const before = this.#ledger.turns.filter(isKept);
    this.#ledger.turns = [...this.#ledger.turns, entry];
    await this.#deliver(entry, this.#contextOf(before, heard), breaks);
  }

  async #deliverAgain(pick: number, hasOtherWords: boolean, breaks: boolean): Promise<void> {
    const known = this.#ledger.turns.filter(({ event }) => 'turn_id' in event);
    const entry = chosen(known.toReversed(), pick);
    if (entry === undefined) return;
    if (hasOtherWords) {
      const words = `w${++this.#words}`;
      const other: Entry = {
        ...entry,
        label: `${words} as ${entry.label}`,
        words,
        number: this.#ledger.turns.length,
        event: { ...entry.event, type: 'message', text: words },
        ...untouched(),
      };
      this.#ledger.turns = [...this.#ledger.turns, other];
      return this.#deliver(other, undefined, breaks);
    }
    await this.#deliver(entry, undefined, breaks);
  }

  async #deliver(entry: Entry, context: Context | undefined, breaks: boolean): Promise<void> {
    const isRunning = this.#stage.runningTurns > 0;
    const isBeside = isRunning && this.#current !== entry;
    const wasLost = entry.isLost;
    if (wasLost) {
      entry.isLost = false;
      this.#ledger.turns = [...this.#ledger.turns.filter((other) => other !== entry), entry];
    }
    const arrivedAt = ++this.#clock;
    const number = this.#sent.length;
    const event = {
      ...entry.event,
      custom_metadata: { delivery: number },
      ...(context === undefined ? {} : { interruption_context: context.fields }),
    };
    this.#note([
      `${entry.label} arrives`,
      ...('turn_id' in entry.event ? [] : ['without an id']),
      ...(breaks ? ['on a connection that breaks'] : []),
      ...(context === undefined ? [] : [`with ${JSON.stringify(context.fields)}`]),
    ].join(' '));
    let caller: Caller | undefined;
    const { completedText } = entry;
    const isStale = isBeside && entry.deliveries.length > 0 && !wasLost && this.#isOld(entry);
    const isCertain = this.#isQuiet && this.#stage.store.pending === 0;
    const sent: Sent = {
      turn: entry,
      context,
      arrivedAt,
      breaks,
      run: undefined,
      replayed: completedText,
      hasJoined: isCertain && (isStale || (isRunning && !isBeside)),
      get caller() {
        if (caller === undefined) throw new Error('not sent yet');
        return caller;
      },
      isCutOff: () => caller !== undefined && caller.hasLeft && !caller.hasEnded,
      events: () => caller?.events ?? [],
    };
    this.#sent.push(sent);
    entry.deliveries.push(sent);
    if (!isStale) this.#current = entry;
    if (completedText === undefined && !isStale) {
      this.#lastBegun = sent;
      this.#isLastInterrupted = false;
    }
    caller = await this.#stage.post(event, {
      breaks,
      onArrival: () => {
        const { pending, isHeld } = this.#stage.store;
        this.#noteCut(sent, pending === 0 && !isHeld);
      },
    });
  }

  /** Whether the running turn has its place after this one: then this one does not run again. */
  #isOld(entry: Entry): boolean {
    const { turns } = this.#ledger;
    return this.#current === undefined || turns.indexOf(entry) < turns.indexOf(this.#current);
  }

  /**
   * Finds the turn that, by the rules, the report means. A turn may still say its first word until
   * the app has the message, and with a slow store until the turn of the message is open. Then the
   * report may mean either turn.
   */
  #noteCut(sent: Sent, isCertain: boolean): void {
    const { context, arrivedAt } = sent;
    if (context === undefined) return;
    const { heard, before, newest } = context;
    const isClear = isCertain && !before.some(isUnclear);
    const meant = turnHeard(before, heard, newest);
    // While a slow store opens the next turn, this one may end by itself.
    const mayEnd = this.#talk.store !== 'memory' && meant !== undefined && isRunning(meant);
    const isApplied = (): boolean =>
      isClear && sent.run !== undefined && !(mayEnd && heard === undefined);
    const cut = { arrivedAt, heard, isApplied };
    meant?.cuts.push(cut);
    // It is not known yet what the run of the newest turn has sent.
    if (!isCertain && before.at(-1) !== meant) before.at(-1)?.cuts.push(cut);
  }

  /** What the platform reports on the reply before. */
  #contextOf(before: readonly Entry[], heard: Heard | undefined): Context | undefined {
    const last = this.#sent.findLast(({ turn }) => isKept(turn));
    if (heard === undefined || last === undefined) return undefined;
    const isNewest = last.turn === before.at(-1);
    const { names } = heard;
    if (
      !isNewest &&
      (names !== 'the turn' || heard.kind === 'unknown' || !('turn_id' in last.turn.event))
    )
      return undefined;
    const spoken = heardBy(last, false);
    const text =
      heard.kind === 'unknown'
        ? undefined
        : heard.kind === 'nothing'
          ? ''
          : spoken.slice(0, Math.ceil(spoken.length * heard.part));
    const start = isNewest
      ? before.length - 1
      : before.findLastIndex(({ event }) => event['turn_id'] === last.turn.event['turn_id']);
    const first = before[start];
    if (first === undefined || isUnclear(first)) return undefined;
    const id =
      names === 'the turn'
        ? last.turn.event['turn_id']
        : names === 'no turn'
          ? undefined
          : 'a-turn-of-the-platform';
    return {
      fields: {
        previous_turn_interrupted: true,
        words_heard: text?.split(' ').length ?? 0,
        ...(text === undefined ? {} : { text_heard: text }),
        ...(id === undefined ? {} : { assistant_turn_id: id }),
      },
      heard: text,
      before: before.slice(0, start + 1),
      newest: before.at(-1),
    };
  }

  /** `user_interrupted` of the call dialect: the caller spoke over the agent. */
  async #interrupt(): Promise<void> {
    const kept = this.#ledger.turns.filter(isKept);
    const newest = kept.at(-1);
    const isCertain = this.#isQuiet && !this.#stage.store.isHeld;
    if (kept.some(({ hasNoPlace }) => hasNoPlace)) return; // it may be the newest by now
    if (newest !== undefined && isUnclear(newest)) return;
    const arrivedAt = ++this.#clock;
    this.#isLastInterrupted = true;
    this.#note('the platform says that the caller spoke over the agent');
    const event = {
      type: 'user_interrupted', call_id: CONVERSATION, agent_id: 'a-1', transcript: '',
      timestamp: '2026-01-01T00:00:00.000Z', metadata: {},
    };
    const onArrival = (): void => {
      if (isCertain && this.#ledger.turns.some((turn) => isKept(turn) && isRunning(turn))) return;
      turnHeard(this.#ledger.turns.filter(isKept), undefined)?.cuts.push({
        arrivedAt, heard: undefined, isApplied: () => isCertain,
      });
    };
    await this.#stage.post(event, { onArrival });
    if (isCertain) await this.#stage.quiet();
  }

  async #crash(): Promise<void> {
    this.#note('the process crashes, another begins');
    const mayLose = this.#stage.store.pending > 0 || !this.#isQuiet;
    this.#stage.crash();
    this.#firstLiving = this.#sent.length;
    for (const run of this.#ledger.turns.flatMap(({ runs }) => runs)) {
      for (const call of run.calls) {
        call.mayBeLost ||= mayLose || call.result === undefined;
        // Its run may have ended since, while the write that notes it was still on its way.
        if (mayLose) call.isNoted = false;
      }
      if (!run.isOver()) run.isDead = true;
    }
    const kept = await this.#stage.messages();
    for (const entry of this.#ledger.turns) {
      const isOfEntry = ({ turnId, role, content }: Message): boolean =>
        entry.words === undefined
          ? entry.turnId === turnId || entry.runs.some((run) => run.turnId === turnId)
          : role === 'user' && content === entry.words;
      const turnId = kept.find(isOfEntry)?.turnId;
      entry.isLost = entry.words !== undefined && turnId === undefined;
      entry.hasNoPlace ||= entry.words === undefined && turnId === undefined;
      const isOpen = kept.some(
        (message) =>
          message.turnId === turnId && message.role === 'assistant' && message.state === 'open',
      );
      const run = entry.runs.at(-1);
      const text = kept.flatMap((message) =>
        message.turnId === turnId && message.role === 'assistant' ? [message.content] : [],
      );
      const last = run?.hasFailed === true ? APOLOGY : '';
      const hasAll = [said(run).trimEnd(), last].every((part) => text.join('').includes(part));
      if (!isOpen && !(mayLose && !hasAll)) continue;
      entry.diedAt = ++this.#clock;
      if (run !== undefined) run.isDead = true; // the store does not know its end
    }
    this.#cast.gates.openAll();
    this.#lastBegun = this.#current = undefined;
    await this.#stage.open();
  }

  /** Undefined for a process that has crashed. */
  #begin(turn: MessageTurn | StartTurn, reply: Reply): Work | undefined {
    const delivery = Number(turn.metadata['delivery']);
    const sent = this.#sent[delivery];
    if (sent === undefined) throw new Error('a turn of no delivery');
    if (delivery < this.#firstLiving) return undefined;
    const entry = sent.turn;
    const run: Run = {
      n: ++this.#clock, arrivedAt: sent.arrivedAt, turnId: turn.turnId, pieces: [], calls: [],
      hasFailed: false, isDead: false, isOver: () => reply.isOver,
    };
    this.#noteCut(sent, false);
    sent.run = run;
    entry.runs.push(run);
    entry.diedAt = undefined;
    entry.completedText = undefined;
    this.#note(`  the agent is asked for ${entry.label}: run ${run.n}`);
    return { run, entry };
  }

  // What is recorded.

  #note(line: string): void {
    this.#stage.news();
    this.#record.note(line);
  }

  async #check(): Promise<void> {
    const isHeld = this.#stage.store.held > 0;
    const history = isHeld ? [] : await this.#stage.messages();
    const wrongs = isHeld ? [] : wrongsOf(this.#ledger, history);
    const all = [...this.#cast.wrongs, ...wrongsOnTheWire(this.#ledger), ...wrongs];
    this.#record.judge(all, history);
    this.#record.check();
  }

  #fail(wrong: string): never {
    this.#record.wrongs.push(wrong);
    this.#record.check();
    throw new Error(wrong);
  }
}

/** A turn before its first delivery. */
function untouched(): Pick<
  Entry, 'deliveries' | 'runs' | 'cuts' | 'isLost' | 'hasNoPlace' | 'diedAt' | 'completedText'
> {
  return {
    deliveries: [], runs: [], cuts: [], isLost: false, hasNoPlace: false,
    diedAt: undefined, completedText: undefined,
  };
}

function isKept({ isUnkept, isLost }: Entry): boolean {
  return !isUnkept && !isLost;
}

function isRunning({ runs }: Entry): boolean {
  return runs.at(-1)?.isOver() === false;
}

/**
 * Whether nobody can tell what the record of the turn holds: no caller got any of its words, though
 * some may have left, or the turn may have a record without a message.
 */
function isUnclear(turn: Entry): boolean {
  if (turn.hasNoPlace) return true;
  const run = turn.runs.at(-1);
  return said(run).trim() !== '' && got(turn, run).trim() === '';
}
