// An agent in a process: its runs speak, call tools, change the state, and pay.

import type { Decision, Message } from './decide.ts';
import type { Fact } from './facts.ts';
import { currentOf, unnamed, type View } from './fold.ts';
import type { FactProcess } from './process.ts';
import type { Simulation } from './simulation.ts';

/** A stream to the platform. */
export interface Connection {
  say(text: string): void;
  end(how: 'completed' | 'replay' | 'stale'): void;
}

export interface Tool {
  readonly kind: 'plain' | 'repeatable' | 'pay';
  readonly key: string;
  readonly ms: number;
  /** It goes on when its turn is interrupted. */
  readonly finishes: boolean;
  /** It also changes the state when it begins. Another write of its process may carry that. */
  readonly startsEarly: boolean;
}

/** What an agent does in a turn. */
export interface Plan {
  readonly steps: readonly (string | Tool)[];
  readonly changesState: boolean;
}

/** What an oracle is told. */
export interface Witness {
  asked(message: Message, view: View, isStored: boolean, process: FactProcess): void;
  said(run: string, turn: string, text: string): void;
  changed(token: string, turn: string, kind: Tool['kind'] | 'own', since: number): void;
  paid(key: string, claim: string): void;
}

export interface ActiveRun {
  readonly id: string;
  readonly turn: string;
  /** By the clock of its process, and really. */
  readonly arrived: number;
  readonly since: number;
  connection: Connection;
  text: string;
  isOver: boolean;
}

/** A turn that has changed something waits so long for the store before its stream ends. */
const HOLD_MS = 3_000;

export class AgentHost {
  readonly process: FactProcess;
  isAlive = true;
  readonly runs: ActiveRun[] = [];
  readonly #simulation: Simulation;
  readonly #witness: Witness;
  readonly #holds: boolean;

  constructor(process: FactProcess, simulation: Simulation, witness: Witness, holds: boolean) {
    this.process = process;
    this.#simulation = simulation;
    this.#witness = witness;
    this.#holds = holds;
  }

  receive(message: Omit<Message, 'run' | 'arrived' | 'initial'>, plan: Plan, to: Connection): void {
    const active = this.runs.find(({ turn, isOver }) => turn === message.turn && !isOver);
    if (active !== undefined) {
      active.connection = to;
      if (active.text !== '') to.say(active.text);
      return;
    }
    const isKnown = this.process.view().turns.some(({ id }) => id === message.turn);
    if (!isKnown) this.interrupt();
    const since = this.#simulation.now;
    const run = `${this.process.name}.${++this.#simulation.count}`;
    const delivery = { ...message, run, arrived: this.process.arrival, initial: { items: [] } };
    this.process.deliver(delivery, ({ to: what }: Decision, isStored) => {
      const view = this.process.view();
      const turn = view.turns.find(({ id }) => id === message.turn);
      const sent = turn === undefined ? undefined : currentOf(turn)?.said?.text;
      if (what === 'replay') to.say(sent ?? '');
      if (what !== 'run') return to.end(what);
      this.interrupt();
      this.#witness.asked(delivery, view, isStored, this.process);
      const { arrived } = delivery;
      this.#run(plan, view, {
        id: run, turn: message.turn, arrived, since, connection: to, text: '', isOver: false,
      });
    });
  }

  /** A newer turn, or a dropped connection. Tools that finish go on. */
  interrupt(connection?: Connection): void {
    for (const run of this.runs) {
      if (run.isOver || (connection !== undefined && run.connection !== connection)) continue;
      run.isOver = true;
      this.#settle(run, 'interrupted');
    }
  }

  /** Whether runs of this process go on, by what others have written. */
  check(): void {
    const { turns } = this.process.view();
    for (const run of this.runs.filter(({ isOver }) => !isOver)) {
      const index = turns.findIndex(({ id }) => id === run.turn);
      const turn = turns[index];
      if (turn === undefined) continue;
      const isTaken = turn.runs.some(({ replaces }) => replaces === run.id);
      const isOld = turns.slice(index + 1).some(({ id, runs: [first] }) => first?.id !== id);
      if (isTaken) run.isOver = true;
      else if (isOld || currentOf(turn)?.isDiscarded === true) this.interrupt(run.connection);
    }
  }

  #settle(run: ActiveRun, how: 'completed' | 'interrupted', settled?: () => void): void {
    const changes = this.process.takeChanges(run.arrived);
    const fact: Fact = { is: 'said', run: run.id, text: run.text, how, changes };
    this.#witness.said(run.id, run.turn, run.text);
    this.process.write(run.arrived, [fact], settled);
  }

  #run(plan: Plan, view: View, run: ActiveRun): void {
    this.runs.push(run);
    const { names } = view;
    const step = (index: number): void => {
      if (!this.isAlive || run.isOver) return;
      const next = plan.steps[index];
      if (next === undefined) this.#complete(plan, run);
      else if (typeof next === 'string') {
        // The model speaks of a value by the number that it was shown.
        const [shown] = Object.values(names);
        const said = shown === undefined || index % 2 === 0 ? next : `${next}[${shown}] `;
        run.text += unnamed(said, names);
        run.connection.say(unnamed(said, names));
        this.#later(20, 120, () => step(index + 1));
      } else this.#call(next, String(index), run, view, () => step(index + 1));
    };
    this.#later(20, 120, () => step(0));
  }

  #complete(plan: Plan, run: ActiveRun): void {
    if (plan.changesState) this.#change(run, 'own');
    run.isOver = true;
    let hasEnded = false;
    const end = (): void => {
      if (!hasEnded && this.isAlive) run.connection.end('completed');
      hasEnded = true;
    };
    this.#settle(run, 'completed', end);
    if (!this.#holds) end();
    this.#simulation.after(HOLD_MS, end);
  }

  /** A call of an earlier run of the turn that may have acted is not made again. */
  #call(tool: Tool, call: string, run: ActiveRun, view: View, done: () => void): void {
    const turn = view.turns.find(({ id }) => id === run.turn);
    const earlier = turn?.runs.map(({ calls }) => calls.get(call)).find((one) => one !== undefined);
    if (earlier !== undefined && earlier.how !== 'interrupted') return done();
    const called: Fact = { is: 'called', run: run.id, call };
    let hasBegun = false;
    const begin = (): void => {
      if (hasBegun || !this.isAlive) return;
      hasBegun = true;
      if (tool.kind === 'pay') this.#pay(tool, call, run, done);
      else if (run.isOver) this.#return(run, tool, call, 'interrupted');
      else {
        const { state } = this.process;
        const early = tool.startsEarly ? this.#mutate(run) : undefined;
        this.#simulation.after(tool.ms, () => {
          if (!this.isAlive) return;
          // It counts from here, and only in the object that the process still has.
          if (early !== undefined && state === this.process.state)
            this.#witness.changed(early, run.turn, tool.kind, run.since);
          if (run.isOver && !tool.finishes) return this.#return(run, tool, call, 'interrupted');
          this.#change(run, tool.kind);
          this.#return(run, tool, call, 'done');
          done();
        });
      }
    };
    this.process.write(run.arrived, [called], begin);
    this.#simulation.after(1_000, begin);
  }

  #pay(tool: Tool, call: string, run: ActiveRun, done: () => void): void {
    const { key, ms } = tool;
    this.process.claim(key, run.arrived, (claim, holder) => {
      if (claim === undefined) {
        const isLost = holder?.to === 'running' && this.process.isGone(holder.claim);
        const step = isLost ? { ...holder, to: 'lost' as const } : undefined;
        this.#return(run, tool, call, isLost ? 'outcome unknown' : 'not started', step);
        return done();
      }
      this.#simulation.after(ms, () => {
        if (!this.isAlive) return;
        this.#witness.paid(key, claim);
        this.#change(run, 'pay');
        this.#return(run, tool, call, 'paid', { key, claim, to: 'completed' });
        done();
      });
    });
  }

  #change(run: ActiveRun, kind: Tool['kind'] | 'own'): void {
    const token = this.#mutate(run);
    if (token !== undefined) this.#witness.changed(token, run.turn, kind, run.since);
  }

  #mutate(run: ActiveRun): string | undefined {
    const token = `t${++this.#simulation.count}`;
    // What an erasure has cut off keeps the object that it had.
    const { state } = this.process;
    const { items } = this.process.isErased(run.arrived) ? {} : state;
    if (!Array.isArray(items)) return undefined;
    items.push(token);
    state['last'] = token;
    return token;
  }

  #return(
    run: ActiveRun,
    { kind }: Tool,
    call: string,
    result: string,
    step?: Parameters<FactProcess['write']>[3],
  ): void {
    const changes = this.process.takeChanges(run.arrived);
    const fact: Fact = {
      is: 'returned', run: run.id, call, result, changes,
      how: result === 'interrupted' ? result : 'completed',
      isRepeatable: kind === 'repeatable',
    };
    this.process.write(run.arrived, [fact], undefined, step);
  }

  #later(least: number, most: number, act: () => void): void {
    this.#simulation.after(this.#simulation.between(least, most), () => this.isAlive && act());
  }
}
