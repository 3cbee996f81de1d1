// One random talk: a platform, callers who barge in, several processes, faults, and an oracle that
// knows what really happened.

import { isDeepStrictEqual } from 'node:util';

import { randomOf } from '../../test/fixtures/random.ts';
import { AgentHost, type Connection, type Plan, type Tool, type Witness } from './agent.ts';
import { MOST_TURNS, type Message } from './decide.ts';
import type { Entry, Off } from './facts.ts';
import { fold, idAt, isDiscarded, replyOf, type View } from './fold.ts';
import { FactProcess } from './process.ts';
import { Simulation } from './simulation.ts';

/** What the fuzz counts. The first five are those that have sunk rewrites before. */
export const SUBJECTS = [
  'trimming', 'redaction', 'discarded turns', 'transcripts', 'erasure', 'state', 'words', 'once',
  'again', 'end',
] as const;
export type Subject = (typeof SUBJECTS)[number];

export interface Wrong {
  readonly subject: Subject;
  readonly what: string;
}

/** What really happened in an exchange. */
interface Exchange {
  readonly id: string;
  readonly words: string;
  readonly place: number;
  readonly plan: Plan;
  /** When it was delivered last. */
  arrived: number;
  end: 'open' | 'completed' | 'interrupted';
  heard: string;
  /** The platform's report comes by itself. */
  isReportLate: boolean;
  /** The process that got it. Where that dies, the report may die with it. */
  reportedTo?: AgentHost | undefined;
  isDiscarded: boolean;
  isErased: boolean;
  /** Facts of it died with a process, so that it may be missing, or its reply. */
  isExcused: boolean;
  /** Whether a process has run it without the store: another may not have known of that. */
  mayBeDouble: boolean;
  readonly said: string[];
}

interface Token {
  readonly token: string;
  readonly turn: string;
  readonly kind: Tool['kind'] | 'own';
  readonly arrived: number;
  isErased: boolean;
  isExcused: boolean;
}

const FAULTS = ['stall', 'away', 'cut', 'crash', 'failover', 'erasure', 'loss'];
const HOSTS = 3;
const CARDS = ['hqkzmvbtwpxa', 'bcdfghjklmnp', 'qrstvwxzqrst'];

export class Talk {
  readonly wrong: Wrong[] = [];
  readonly #simulation: Simulation;
  readonly #off: Off;
  readonly #sendsTranscripts: boolean;
  readonly #hosts: AgentHost[] = [];
  readonly #dead: AgentHost[] = [];
  readonly #skews: number[];
  readonly #exchanges: Exchange[] = [];
  readonly #tokens: Token[] = [];
  readonly #paid = new Map<string, string[]>();
  readonly #excusedKeys = new Set<string>();
  /** The numbers that models were shown, while no erasure or failover came in between. */
  #shown = new Map<string, string>();
  readonly #length: number;
  #connection: Connection | undefined;
  #failedOverAt = -Infinity;
  #faults: string[] = [];

  /** `longest`: the most exchanges. */
  constructor(seed: number, off: Off, longest = 22) {
    const simulation = new Simulation(randomOf(seed), off);
    this.#simulation = simulation;
    this.#off = off;
    this.#sendsTranscripts = simulation.happens(0.5);
    this.#length = simulation.between(3, longest);
    this.#skews = Array.from({ length: HOSTS }, () => simulation.between(-20_000, 20_000));
    for (let host = 0; host < HOSTS; host++) this.#hosts.push(this.#start(host));
    simulation.written = (write) => this.#watchErasure(write);
  }

  /** A line for a report. */
  get story(): string {
    const kind = this.#sendsTranscripts ? 'transcripts' : 'reports';
    return `${kind}, ${this.#exchanges.length} exchanges, ${this.#faults.join(', ')}`;
  }

  run(): readonly Wrong[] {
    const simulation = this.#simulation;
    simulation.after(300, () => this.#say());
    this.#planFaults();
    this.#beat();
    while (simulation.now < 240_000 && !this.#isOver) simulation.run(simulation.now + 1_000);
    if (!this.#isOver) this.#note('end', 'the talk does not end');
    const { faults } = simulation;
    Object.assign(faults, { loss: 0 });
    for (const times of [faults.stalls, faults.away, faults.cuts]) times.length = 0;
    simulation.run(simulation.now + 70_000);
    this.#checkEnd();
    return this.wrong;
  }

  get #isOver(): boolean {
    const last = this.#exchanges.at(-1);
    return this.#exchanges.length >= this.#length && last?.end !== 'open';
  }

  #note(subject: Subject, what: string): void {
    this.wrong.push({ subject, what });
  }

  #start(host: number): AgentHost {
    const simulation = this.#simulation;
    const name = `${'abc'[host] ?? ''}${this.#dead.length}`;
    const world = simulation.worldOf(
      host, this.#skews[host] ?? 0, () => living.isAlive, (claim) => this.#isGone(claim),
      () => living.check(),
    );
    const process = new FactProcess(name, world, this.#off);
    const living = new AgentHost(process, simulation, this.#witness, !this.#off.has('hold'));
    process.look();
    return living;
  }

  #isGone(claim: string): boolean {
    return this.#dead.some(({ process }) => claim.startsWith(`${process.name}:`));
  }

  /** A heartbeat, which tells of failovers, too. */
  #beat(): void {
    for (const { process } of this.#hosts) process.look();
    this.#simulation.after(1_500, () => this.#beat());
  }

  #planFaults(): void {
    const simulation = this.#simulation;
    const { stalls, away, cuts } = simulation.faults;
    const until = 3_000 * this.#length;
    const at = (): number => simulation.between(500, until);
    const kinds = Array.from({ length: simulation.between(0, 4) }, () => simulation.between(0, 6));
    for (const kind of kinds) {
      const from = at();
      this.#faults.push(FAULTS[kind] ?? '');
      if (kind === 0) stalls.push([from, from + simulation.between(100, 900)]);
      else if (kind === 1) away.push([from, from + simulation.between(500, 7_000)]);
      else if (kind === 2)
        cuts.push([from, from + simulation.between(500, 6_000), simulation.between(0, 2)]);
      else if (kind === 3) simulation.after(from, () => this.#crash(simulation.between(0, 2)));
      else if (kind === 4) simulation.after(from, () => this.#failOver());
      else if (kind === 5)
        simulation.after(from, () => this.#hosts[simulation.between(0, 2)]?.process.erase());
      else simulation.faults.loss = 0.03;
    }
  }

  #crash(host: number): void {
    const dead = this.#hosts[host];
    if (dead === undefined) return;
    dead.isAlive = false;
    this.#dead.push(dead);
    this.#excuse(dead);
    for (const one of this.#exchanges) one.isExcused ||= one.reportedTo === dead;
    for (const { turn, isOver } of dead.runs) if (!isOver) this.#excuseTurn(turn);
    this.#hosts[host] = this.#start(host);
    const { connection } = dead.runs.find((run) => !run.isOver) ?? {};
    if (connection !== undefined && connection === this.#connection)
      this.#simulation.after(200, () => this.#deliver(this.#exchanges.at(-1)));
  }

  #failOver(): void {
    const { mark } = this.#simulation.log.fields;
    this.#simulation.failOver();
    this.#failedOverAt = this.#simulation.now;
    this.#shown = new Map();
    for (const dead of this.#dead) this.#excuse(dead);
    const isMarkLost = this.#simulation.log.fields.mark < mark
      && !this.#hosts.some(({ process }) => process.known.mark === mark);
    if (isMarkLost) for (const one of [...this.#exchanges, ...this.#tokens]) one.isExcused = true;
  }

  /** What a dead process has not brought to the store is gone. */
  #excuse({ process }: AgentHost): void {
    const stored = this.#simulation.log.fields.writers.get(process.name) ?? 0;
    for (const entry of process.unstored(stored)) this.#excuseEntry(entry);
  }

  #excuseEntry({ facts, key }: Pick<Entry, 'facts'> & { readonly key?: string }): void {
    if (key !== undefined) this.#excusedKeys.add(key);
    const text = JSON.stringify(facts);
    for (const { id } of this.#exchanges) if (text.includes(`${id}"`)) this.#excuseTurn(id);
    for (const one of this.#exchanges)
      if (one.said.some((said) => said !== '' && text.includes(said))) one.isExcused = true;
    for (const token of this.#tokens) if (text.includes(`"${token.token}"`)) token.isExcused = true;
  }

  #excuseTurn(id: string): void {
    for (const exchange of this.#exchanges) if (exchange.id === id) exchange.isExcused = true;
    for (const token of this.#tokens) if (token.turn === id) token.isExcused = true;
  }

  #watchErasure<T>(write: () => T): T {
    const { log } = this.#simulation;
    const before = log.fields;
    const answer = write();
    const { mark, claims } = log.fields;
    if (mark === before.mark) return answer;
    this.#shown = new Map();
    for (const one of [...this.#exchanges, ...this.#tokens]) {
      // Within the margin it may be either.
      if (Math.abs(one.arrived - mark) < 150) one.isExcused = true;
      else if (one.arrived < mark) one.isErased = true;
    }
    for (const key of before.claims.keys()) if (!claims.has(key)) this.#paid.delete(key);
    return answer;
  }

  // The platform.

  #say(): void {
    const simulation = this.#simulation;
    const [last] = this.#exchanges.slice(-1);
    const isRepair = this.#sendsTranscripts && last?.isDiscarded === true;
    const place = this.#exchanges.filter((one) => !one.isDiscarded).length;
    const number = this.#exchanges.length + 1;
    const card = simulation.happens(0.3) ? ` [card ${CARDS[simulation.between(0, 2)] ?? ''}]` : '';
    const words = `${isRepair ? `${last.words} ` : ''}c${number}.${card}`;
    const id = this.#sendsTranscripts ? idAt(place, words) : `turn-${number}`;
    const exchange: Exchange = {
      id, words, place, plan: this.#plan(number), arrived: simulation.now, end: 'open', heard: '',
      isReportLate: false, isDiscarded: false, isErased: false, isExcused: false,
      mayBeDouble: this.#faults.includes('failover'), said: [],
    };
    this.#exchanges.push(exchange);
    const isLost = this.#sendsTranscripts && number < this.#length && simulation.happens(0.05);
    if (isLost) {
      exchange.end = 'completed';
      // The first request after an erasure does not bring it.
      exchange.isExcused = this.#faults.includes('erasure');
      return simulation.after(300, () => this.#say());
    }
    this.#deliver(exchange);
    if (simulation.happens(0.35))
      simulation.after(simulation.between(80, 1_500), () => this.#bargeIn(exchange));
    if (simulation.happens(0.07))
      simulation.after(simulation.between(50, 600), () => this.#deliver(exchange));
  }

  #plan(number: number): Plan {
    const simulation = this.#simulation;
    const tool = (): Tool => ({
      kind: (['plain', 'repeatable', 'pay'] as const)[simulation.between(0, 2)] ?? 'plain',
      key: `key-${simulation.between(1, 3)}`,
      ms: simulation.between(5, 500),
      finishes: simulation.happens(0.5),
      // Not where its turn, or another whose write carries the change, may be discarded.
      startsEarly: !this.#sendsTranscripts && simulation.happens(0.5),
    });
    const steps = Array.from({ length: simulation.between(1, 6) }, (_, index) =>
      simulation.happens(0.3) ? tool() : `r${number}.${index} `);
    return { steps, changesState: simulation.happens(0.4) };
  }

  #deliver(exchange: Exchange | undefined): void {
    const simulation = this.#simulation;
    if (exchange === undefined || exchange.end !== 'open') return;
    const host = this.#hosts[simulation.happens(0.5) ? 0 : simulation.between(0, 2)];
    const index = this.#exchanges.indexOf(exchange);
    const before = this.#exchanges.slice(0, index).filter((one) => !one.isDiscarded);
    const last = before.at(-1);
    const isReported = last?.end === 'interrupted' && !last.isReportLate;
    const message = this.#sendsTranscripts
      ? { transcript: before.map(({ words, heard }) => ({ words, reply: heard })) }
      : { heard: isReported ? { turn: last.id, text: last.heard } : undefined };
    if (isReported) this.#excuseReport(last, host);
    exchange.isExcused ||= exchange.isErased; // a run that was erased may still answer it
    exchange.arrived = simulation.now;
    exchange.isErased = false;
    exchange.isExcused ||= simulation.now - simulation.log.fields.mark < 150;
    let text = '';
    const connection: Connection = {
      say: (said) => {
        text += said;
        if (this.#connection === connection) exchange.heard = text;
      },
      end: (how) => this.#connection === connection && this.#ended(exchange, how),
    };
    this.#connection = connection;
    simulation.after(simulation.between(1, 3), () =>
      host?.receive({ turn: exchange.id, words: exchange.words, ...message }, exchange.plan,
        connection));
    simulation.after(20_000, () => {
      if (this.#connection === connection && exchange.end === 'open') this.#deliver(exchange);
    });
  }

  #ended(exchange: Exchange, how: 'completed' | 'replay' | 'stale'): void {
    const simulation = this.#simulation;
    if (exchange.end !== 'open') return;
    if (how === 'stale' && !exchange.isExcused) this.#note('again', `${exchange.id}: stale`);
    exchange.end = 'completed';
    this.#connection = undefined;
    const isLast = this.#exchanges.length >= this.#length;
    const isCut = exchange.heard !== '' && simulation.happens(0.15);
    if (isCut && !(isLast && this.#sendsTranscripts)) this.#cut(exchange);
    if (isLast) return;
    simulation.after(isCut ? 5 : simulation.between(50, 1_500), () => this.#say());
  }

  #bargeIn(exchange: Exchange): void {
    if (exchange.end !== 'open' || this.#exchanges.length >= this.#length) return;
    const dropped = this.#connection;
    this.#connection = undefined;
    this.#cut(exchange);
    if (this.#sendsTranscripts && exchange.heard === '') exchange.isDiscarded = true;
    if (this.#simulation.happens(0.8) && dropped !== undefined)
      this.#simulation.after(this.#simulation.between(0, 30), () => {
        for (const host of this.#hosts) host.interrupt(dropped);
      });
    this.#simulation.after(this.#simulation.between(0, 40), () => this.#say());
  }

  /** The caller heard a part of what was sent, and the platform says so, sooner or later. */
  #cut(exchange: Exchange): void {
    const simulation = this.#simulation;
    const words = exchange.heard.split(/(?<= )(?!\w{12}\])/);
    exchange.heard = words.slice(0, simulation.between(0, words.length)).join('');
    exchange.end = 'interrupted';
    const isLast = this.#exchanges.length >= this.#length;
    if (this.#sendsTranscripts || !(isLast || simulation.happens(0.2))) return;
    exchange.isReportLate = true;
    simulation.after(simulation.between(10, 3_000), () => {
      const host = this.#hosts[simulation.between(0, 2)];
      this.#excuseReport(exchange, host);
      exchange.reportedTo = host;
      host?.process.hear({ turn: exchange.id, text: exchange.heard });
    });
  }

  /** After an erasure, a report on a turn that its process does not know yet is not kept. */
  #excuseReport(exchange: Exchange | undefined, host: AgentHost | undefined): void {
    if (exchange === undefined || host === undefined) return;
    const isKnown = host.process.view().turns.some(({ id }) => id === exchange.id);
    const mayBeLost = !isKnown || this.#faults.includes('failover');
    exchange.isExcused ||= mayBeLost && this.#faults.includes('erasure');
  }

  // The oracle.

  readonly #witness: Witness = {
    asked: (message, view, isStored, process) => this.#asked(message, view, isStored, process),
    said: (_run, turn, text) =>
      void this.#exchanges.findLast(({ id }) => id === turn)?.said.push(text),
    changed: (token, turn, kind, arrived) => {
      const skew = this.#exchanges.findLast(({ id }) => id === turn)?.isExcused ?? false;
      this.#tokens.push({
        token, turn, kind, arrived, isExcused: skew, isErased: this.#isBeforeErasure(arrived),
      });
    },
    paid: (key, claim) => {
      const paid = [...(this.#paid.get(key) ?? []), claim];
      this.#paid.set(key, paid);
      if (paid.length > 1 && !this.#excusedKeys.has(key))
        this.#note('once', `${key} was paid by ${paid.join(' and ')}`);
    },
  };

  #isBeforeErasure(arrived: number): boolean {
    return arrived < this.#simulation.log.fields.mark;
  }

  #asked({ turn }: Message, view: View, isStored: boolean, process: FactProcess): void {
    const index = this.#exchanges.findLastIndex(({ id }) => id === turn);
    const exchange = this.#exchanges[index];
    if (exchange === undefined) return;
    exchange.mayBeDouble ||= !isStored;
    const runs = view.turns.find(({ id }) => id === turn)?.runs ?? [];
    const live = runs.filter(({ id }) => !runs.some(({ replaces }) => replaces === id));
    if (live.length > 1 && !exchange.mayBeDouble)
      this.#note('again', `${turn} is run by ${live.map(({ id }) => id).join(' and ')}`);
    const { now, log } = this.#simulation;
    const isSettled = isStored && now - this.#failedOverAt > 3_000
      && process.known.last === log.fields.last
      && this.#hosts.every((host) =>
        host.process === process
        || (host.process.hasStoredAll && host.runs.every(({ isOver }) => isOver)));
    // An erasure that it cannot know of yet.
    if (process.known.mark !== this.#simulation.log.fields.mark) return;
    this.#checkWords(view, this.#exchanges.slice(0, index), isSettled, 'prompt', exchange);
    if (isSettled) this.#checkState(view, 'prompt');
    this.#checkNames(view, process);
  }

  /** `isSettled`: nothing waits anywhere. Otherwise words may be missing, but none may be wrong. */
  #checkWords(
    view: View,
    before: readonly Exchange[],
    isSettled: boolean,
    where: string,
    asked?: Exchange,
  ): void {
    const subject = this.#sendsTranscripts ? 'transcripts' : 'words';
    const seen = view.turns.filter((turn) => !isDiscarded(turn));
    const expected = before.filter((one) => !one.isDiscarded && !one.isErased);
    let next = 0;
    for (const turn of seen) {
      const at = expected.findIndex(({ id }, index) => index >= next && id === turn.id);
      const known = this.#exchanges.find(({ id }) => id === turn.id);
      if (known?.isExcused === true || (known !== undefined && known === asked)) continue;
      if (known?.isErased === true) this.#note('erasure', `${where}: ${turn.id} came back`);
      else if (known === undefined) this.#note(subject, `${where}: ${turn.id} was never said`);
      else if (at === -1) {
        const isNewest = !before.includes(known);
        if (known.isDiscarded && isSettled)
          this.#note('discarded turns', `${where}: ${turn.id} is still there`);
        else if (!isNewest && !known.isDiscarded)
          this.#note(subject, `${where}: ${turn.id} is out of order`);
      } else {
        for (const { id, isExcused } of expected.slice(next, at))
          if (isSettled && next > 0 && !isExcused)
            this.#note(subject, `${where}: ${id} is missing before ${turn.id}`);
        next = at + 1;
        this.#checkReply(turn, known, isSettled, where, subject);
      }
    }
    for (const { id, isExcused } of expected.slice(next))
      if (isSettled && !isExcused && !view.cut.has(id))
        this.#note(subject, `${where}: ${id} is missing at the end`);
    if (view.turns.length > MOST_TURNS + 8 && isSettled)
      this.#note('trimming', `${where}: ${view.turns.length} turns are kept`);
  }

  #checkReply(
    turn: View['turns'][number],
    { id, heard, said, isReportLate, mayBeDouble }: Exchange,
    isSettled: boolean,
    where: string,
    subject: Subject,
  ): void {
    const reply = replyOf(turn);
    const isOfIt = [heard, ...said].some((text) => text.startsWith(reply));
    // Of two replies by processes that could not know of each other the first stays.
    const completed = turn.runs.filter((run) => run.said?.how === 'completed');
    const isDouble = mayBeDouble && completed.length > 1;
    if (!isOfIt) this.#note(subject, `${where}: reply to ${id} is "${reply}", said "${heard}"`);
    else if (isSettled && !isDouble && reply !== heard && (!isReportLate || where === 'end'))
      this.#note(subject, `${where}: reply to ${id} is "${reply}", heard "${heard}"`);
    if (turn.isOpen && where === 'end')
      this.#note(subject, `${where}: ${id} is open`);
  }

  #checkState({ state }: View, where: string): void {
    const items: unknown = state?.['items'];
    const found = Array.isArray(items) ? (items as unknown[]) : [];
    for (const { token, turn, kind, isErased, isExcused } of this.#tokens) {
      if (isExcused) continue;
      const exchange = this.#exchanges.findLast(({ id }) => id === turn);
      const isTakenBack = exchange?.isDiscarded === true;
      const isGone = isTakenBack && (kind === 'own' || kind === 'repeatable');
      if (isTakenBack && exchange.isExcused) continue;
      const count = found.filter((item) => item === token).length;
      const wanted = isErased || isGone ? 0 : 1;
      if (count === wanted) continue;
      const subject = isErased ? 'erasure' : isTakenBack ? 'discarded turns' : 'state';
      if (isTakenBack && where === 'prompt' && this.#exchanges.at(-2) === exchange) continue;
      this.#note(subject, `${where}: ${token} of ${turn} (${kind}) is there ${count} times`);
    }
  }

  #checkNames({ names }: View, process: FactProcess): void {
    const given = Object.values(names);
    if (new Set(given).size < given.length)
      this.#note('redaction', `two values are ${JSON.stringify(names)}`);
    for (const [letters, name] of Object.entries(names)) {
      const shown = this.#shown.get(letters);
      if (shown !== undefined && shown !== name && !process.isAway)
        this.#note('redaction', `${letters} was ${shown}, and is ${name}`);
      this.#shown.set(letters, name);
    }
  }

  #checkEnd(): void {
    const { log } = this.#simulation;
    const view = fold({ ...log.fields }, this.#off);
    this.#checkWords(view, this.#exchanges, true, 'end');
    this.#checkState(view, 'end');
    const raw = JSON.stringify([log.fields.entries, log.fields.base]);
    for (const { words, isErased, isExcused, isDiscarded: wasDiscarded } of this.#exchanges)
      if (isErased && !isExcused && !wasDiscarded && raw.includes(`${words}"`))
        this.#note('erasure', `end: "${words}" is in the store`);
    for (const { process } of this.#hosts) {
      if (!process.hasStoredAll) this.#note('end', `${process.name} has not stored all`);
      const own = process.view();
      const lives = (one: View): unknown => [one.state, one.turns.map((t) => [t.id, replyOf(t)])];
      if (!isDeepStrictEqual(lives(own), lives(view)))
        this.#note('end', `${process.name} sees something else`);
      if (!isDeepStrictEqual(process.state, own.state ?? {}))
        this.#note('state', `${process.name} has another live state`);
    }
  }
}
