// The agents of a talk. They do what its plans say, and wait until the talk lets them go on.

import type { Agent, MessageTurn, Reply, StartTurn } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import type { ModelDelta } from '../../../src/core/models/model.ts';
import { hangUp } from '../../../src/core/tools/tool-hang-up.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import type { Call, Piece, Run, TurnEntry } from './ledger.ts';
import type { Op, Plan } from './talk.ts';
import { Gates, heldBy, modelOf } from './talks.ts';
import { FILLER } from './turn-model.ts';

/** A turn, and the plan for its agent. */
export interface Entry extends TurnEntry {
  readonly plan: Plan;
  readonly event: Readonly<Record<string, unknown>>;
  readonly number: number;
}

/** An agent at work. */
export interface Work {
  readonly run: Run;
  readonly entry: Entry;
}

/** What agents need from the talk. */
export interface Director {
  /** Finds the turn that begins. Undefined if its process has crashed. */
  begin(turn: MessageTurn | StartTurn, reply: Reply): Work | undefined;
  entryOf(number: number): Entry | undefined;
  note(line: string): void;
}

export class Cast {
  readonly gates = new Gates();
  /** What is wrong with what agents saw. */
  readonly wrongs: string[] = [];
  readonly #director: Director;
  readonly #workBySignal = new WeakMap<AbortSignal, Work & { round: number }>();

  constructor(director: Director) {
    this.#director = director;
  }

  scriptedAgent(): Agent {
    const hook = (turn: MessageTurn | StartTurn, reply: Reply): string | void | Promise<void> => {
      const begun = this.#director.begin(turn, reply);
      if (begun === undefined) return undefined;
      const { run, entry } = begun;
      if (!entry.plan.isText) return this.#perform(run, entry, turn, reply);
      const text = this.#textOf(run);
      run.pieces.push({ text, isFiller: false, isTaken: undefined });
      return text;
    };
    return defineAgent({ name: 'scripted', onSessionStart: hook, onMessage: hook });
  }

  async #perform(
    run: Run, entry: Entry, turn: MessageTurn | StartTurn, reply: Reply,
  ): Promise<void> {
    const { plan } = entry;
    const signal = plan.obeys ? turn.signal : undefined;
    let first: string | undefined;
    for (const [place, op] of plan.ops.entries()) {
      if (op.do === 'say' || op.do === 'hang up') {
        const text = this.#textOf(run);
        const piece = { text, isFiller: false, isTaken: !reply.isOver };
        run.pieces.push(piece);
        if (op.do === 'say') piece.isTaken = reply.say(text) !== false;
        else reply.hangup({ say: text });
        const how = op.do === 'say' ? 'says' : 'hangs up and says';
        const toWhom = piece.isTaken ? '' : ', to nobody';
        this.#director.note(`  run ${run.n} ${how} ${JSON.stringify(text)}${toWhom}`);
      } else if (op.do === 'filler') turn.journal.sayFiller(FILLER);
      else if (op.do === 'data') reply.data({ run: run.n });
      else if (op.do === 'wait') await this.#wait(run, `run ${run.n} goes on`, signal);
      else if (op.do === 'look') {
        const seen = JSON.stringify(turn.history);
        first ??= seen;
        if (seen !== first)
          this.wrongs.push(`the history of run ${run.n} changed from ${first} to ${seen}`);
        maskFirst(turn.history);
      } else if (op.do === 'fail') return this.#failRun(run);
      else if (op.do === 'call') await this.#callTools(run, entry, place, op, turn, reply, signal);
    }
  }

  async #callTools(
    run: Run, entry: Entry, place: number, op: Op & { do: 'call' },
    turn: MessageTurn | StartTurn, reply: Reply, signal: AbortSignal | undefined,
  ): Promise<void> {
    const calls = this.#callsOf(run, entry, place, op);
    for (const call of calls) call.isNoted = !reply.isOver && !run.isDead;
    turn.journal.noteToolCalls(calls.map(({ id, args }) => ({ id, name: 'act', args })));
    await Promise.all(
      calls.map(async (call, index) => {
        // If two calls have the same id, the result is for the first that has none.
        const withoutResult = (): Call[] =>
          calls.filter(({ id, result }) => id === call.id && result === undefined);
        if (op.waits[index] === true) await this.#waitForTool(run, withoutResult, signal);
        const [meant = call] = withoutResult();
        const result = this.#resultOf(run, meant);
        this.#director.note(`  the call ${call.id} has the result ${result}`);
        if (call.isNoted && !run.isDead) meant.result = result;
        turn.journal.noteToolResult(call.id, result);
      }),
    );
  }

  #callsOf(run: Run, entry: Entry, place: number, op: Op & { do: 'call' }): Call[] {
    const calls = op.waits.map((_, index) => ({
      id: `c${run.n}.${place}${op.hasOneId ? '' : `.${index}`}`,
      args: argsOf(entry.number * 100 + place * 10 + index), result: undefined, isNoted: false,
      isInterrupted: false, mayBeLost: false,
    }));
    run.calls.push(...calls);
    return calls;
  }

  #resultOf(run: Run, call: Call): string {
    return JSON.stringify({ done: `${call.args} by run ${run.n}` });
  }

  #failRun(run: Run): never {
    run.hasFailed = !run.isOver();
    this.#director.note(`  run ${run.n} fails`);
    throw new Error('the agent fails');
  }

  #textOf(run: Run): string {
    return `a${run.n}.${run.pieces.length} `;
  }

  /** An agent whose model says what the plan says. Its tools return when the talk lets them. */
  modelAgent(): Agent {
    const act = tool({
      name: 'act', description: 'Acts.',
      parameters: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] },
      run: ({ n }, { signal }) => this.#act(Number(n), signal),
    });
    const model = modelOf('model', (_messages, { signal }) => this.#speakAsModel(signal));
    const agent = defineAgent({
      name: 'model', prompt: 'You talk.', speakable: false, model, tools: [act, hangUp],
    });
    const onSessionStart = async (turn: StartTurn, reply: Reply): Promise<void> => {
      const begun = this.#director.begin(turn, reply);
      if (begun === undefined) return;
      const { run, entry } = begun;
      const plan: Plan = { ...entry.plan, ops: [{ do: 'say' }] };
      await this.#perform(run, { ...entry, plan }, turn, reply);
    };
    return heldBy(agent, (onMessage) => (turn, reply) => {
      const begun = this.#director.begin(turn, reply);
      if (begun === undefined) return undefined;
      this.#workBySignal.set(turn.signal, { ...begun, round: 0 });
      return onMessage(turn, reply);
    }, { onSessionStart });
  }

  async *#speakAsModel(signal: AbortSignal): AsyncGenerator<ModelDelta, void, undefined> {
    const work = this.#workBySignal.get(signal);
    if (work === undefined) throw new Error('a model was asked for no turn');
    const { run, entry } = work;
    const { ops, obeys } = entry.plan;
    for (; work.round < ops.length; work.round++) {
      const op = ops[work.round] as Op;
      if (op.do === 'say') {
        const isTaken = run.isOver() ? false : undefined;
        const piece: Piece = { text: this.#textOf(run), isFiller: false, isTaken };
        run.pieces.push(piece);
        this.#director.note(`  run ${run.n} says ${JSON.stringify(piece.text)}`);
        yield { type: 'text', text: piece.text };
      } else if (op.do === 'wait') {
        try {
          await this.#wait(run, `run ${run.n} goes on`, obeys ? signal : undefined);
        } catch {
          return; // as the stream of a model ends when its request is aborted
        }
      } else if (op.do === 'fail') this.#failRun(run);
      else if (op.do === 'call') {
        const place = work.round++;
        for (const { id, args } of this.#callsOf(run, entry, place, op))
          yield { type: 'toolCall', call: { id, name: 'act', args } };
        if (op.hangsUp) {
          const goodbye = { text: `bye${run.n}`, isFiller: false, isTaken: undefined };
          run.pieces.push(goodbye);
          const call = {
            id: `h${run.n}.${place}`,
            args: JSON.stringify({ goodbye: goodbye.text }),
            result: '{"status":"ok"}',
            isNoted: true,
            // The call does not begin if the turn is over.
            isInterrupted: true,
            mayBeLost: true,
          };
          run.calls.push(call);
          yield { type: 'toolCall', call: { ...call, name: hangUp.name } };
        }
        return;
      }
    }
  }

  async #act(key: number, signal: AbortSignal): Promise<{ readonly done: string }> {
    const entry = this.#director.entryOf(Math.floor(key / 100));
    const run = entry?.runs.at(-1);
    const args = argsOf(key);
    const call = run?.calls.find((candidate) => candidate.args === args && !candidate.isNoted);
    if (entry === undefined || run === undefined || call === undefined)
      throw new Error('a tool was called for no run');
    for (const earlier of entry.runs.slice(0, -1)) {
      const began = earlier.calls.find(
        (other) => other.args === args && other.isNoted && !other.isInterrupted,
      );
      if (began !== undefined)
        this.wrongs.push(`run ${run.n} repeats the call ${began.id}: ${args}`);
    }
    call.isNoted = !run.isDead;
    const { plan } = entry;
    const op = plan.ops[Math.floor((key % 100) / 10)];
    if (op?.do === 'call' && op.waits[key % 10] === true)
      await this.#waitForTool(run, () => [call], plan.obeys ? signal : undefined);
    const result = this.#resultOf(run, call);
    this.#director.note(`  the call ${call.id} has the result ${result}`);
    if (!run.isDead) call.result = result;
    return JSON.parse(result) as { done: string };
  }

  async #waitForTool(
    run: Run, callsOf: () => readonly Call[], signal: AbortSignal | undefined,
  ): Promise<void> {
    try {
      await this.#wait(run, `the tool of the call ${callsOf()[0]?.id ?? ''} returns`, signal);
    } catch (error) {
      for (const call of callsOf()) call.isInterrupted = !call.mayBeLost;
      throw error;
    }
  }

  #wait(run: Run, what: string, signal: AbortSignal | undefined): Promise<void> {
    return this.gates.wait(what, signal, run.isDead);
  }
}

function argsOf(key: number): string {
  return JSON.stringify({ n: key });
}

/** Tries to change the history, which is frozen, as if to hide what a caller said. */
function maskFirst(history: readonly Message[]): void {
  const [message] = history as unknown as { content: string }[]; // as in plain JavaScript
  if (message !== undefined && !Object.isFrozen(message)) message.content = 'masked';
}
