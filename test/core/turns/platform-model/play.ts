// Plays a talk with a platform, records what can be seen from outside, and has the model check it.

import type { MessageTurn, Reply } from '../../../../src/core/agents/agent.ts';
import { TalkError, TalkRecord, type Gate } from '../talks.ts';
import { isReply, PlatformCall, type SentMessage } from './call.ts';
import { PlatformCast } from './cast.ts';
import {
  wantsReply, type Act, type Attempt, type Delivery, type PlatformLedger, type Run,
} from './ledger.ts';
import { PlatformModel } from './model.ts';
import type { SharedRedis } from './shared-redis.ts';
import { CONVERSATION, KEY, PlatformStage, SETTLE_MS } from './stage.ts';
import type {
  Asking, ModelOp, OldConnections, PlatformStep, PlatformTalk, ProfileName, Telling,
} from './talk.ts';

export { TalkError as PlatformError } from '../talks.ts';

/** The errors that the agent and its tools cause. */
const EXPECTED_ERRORS: ReadonlySet<string> = new Set([
  'turn failed', 'the outcome of a tool call is unknown',
]);

/** Two processes share a store in memory, unless a Redis is given. */
export async function playPlatformTalk(talk: PlatformTalk, redis?: SharedRedis): Promise<void> {
  await new Play(talk, redis).run();
}

/** The talk without the steps that it does not need in order to go wrong in the same way. */
export async function shrinkPlatformTalk(
  talk: PlatformTalk, redis?: SharedRedis,
): Promise<PlatformTalk> {
  const kind = await kindOfFailure(talk, redis);
  let shortest = talk;
  for (let index = talk.steps.length - 1; index >= 0; index--) {
    const steps = shortest.steps.filter((_step, at) => at !== index);
    const shorter = { ...shortest, steps };
    if ((await kindOfFailure(shorter, redis)) === kind) shortest = shorter;
  }
  return shortest;
}

/** What goes wrong in the talk, without numbers and texts. Undefined if nothing does. */
async function kindOfFailure(
  talk: PlatformTalk, redis: SharedRedis | undefined,
): Promise<string | undefined> {
  try {
    await playPlatformTalk(talk, redis);
    return undefined;
  } catch (error) {
    if (!(error instanceof TalkError)) throw error;
    return error.wrongs[0]?.replaceAll(/\[.*?\]|"[^"]*"|\d+|\S{25,}/g, '');
  }
}

class Play {
  readonly #talk: PlatformTalk;
  readonly #call: PlatformCall;
  readonly #stage: PlatformStage;
  readonly #cast: PlatformCast;
  readonly #model: PlatformModel;
  readonly #ledger: PlatformLedger = { attempts: [], runs: [], acts: [] };
  readonly #deliveries: Delivery[] = [];
  /**
   * The lines of its own that the platform will tell with the caller's next words: `isBehind` of
   * each.
   */
  readonly #inserts: boolean[] = [];
  readonly #record: TalkRecord;

  constructor(talk: PlatformTalk, redis: SharedRedis | undefined) {
    this.#talk = talk;
    const { seed, profile, processes } = talk;
    this.#record = new TalkRecord(`talk ${seed} as ${profile} with ${processes} process(es)`);
    this.#call = new PlatformCall(talk.profile, talk.greets);
    this.#model = new PlatformModel(this.#ledger, {
      settleMs: SETTLE_MS, isAnonymous: talk.isAnonymous,
    });
    this.#cast = new PlatformCast(
      {
        begin: (turn, reply, answered) => this.#begin(turn, reply, answered),
        act: (act, turnId) => this.#act(act, turnId),
        ended: (act) => void (act.endedAtMs = this.#stage.clock.nowMs),
        note: (line) => this.#note(line),
      },
      talk.fates,
    );
    this.#stage = new PlatformStage(talk, redis);
  }

  async run(): Promise<void> {
    await this.#record.during(() => this.#play(), async () => {
      this.#cast.gates.end();
      await this.#stage.dispose();
    });
  }

  async #play(): Promise<void> {
    await this.#stage.open(this.#cast.agent);
    for (const step of this.#talk.steps) {
      await this.#take(step);
      await this.#stage.quiet();
      if (step.passesMs > 0) {
        await this.#stage.pass(step.passesMs);
        await this.#stage.quiet();
      }
      this.#record.check();
    }
    await this.#finish();
  }

  /** The caller speaks once more, and everything goes on until nothing is left to do. */
  async #finish(): Promise<void> {
    this.#note('the end');
    const telling = { part: 1, style: 'as it was' } as const;
    const asking = { at: 0, ops: [{ do: 'say' }], old: 'kept' } as const;
    this.#call.keeps = Math.max(this.#call.keeps, 8);
    await this.#take({ do: 'speak', isYes: false, telling, ...asking, passesMs: 0 });
    const isDone = await this.#stage.passUntil(() => this.#isDone());
    if (!isDone) this.#record.wrongs.push('it does not come to an end');
    await this.#stage.quiet();
    this.#record.check();
    const history = await this.#stage.history();
    this.#record.judge(this.#model.wrongsAtTheEnd(history), history);
    const errors = this.#stage.errors.filter((message) => !EXPECTED_ERRORS.has(message));
    this.#record.wrongs.push(...errors.map((message) => `an error was logged: ${message}`));
    this.#record.check();
  }

  #isDone(): boolean {
    const gates = this.#cast.gates.takeAll();
    for (const gate of gates) this.#open(gate);
    return (
      gates.length === 0 &&
      this.#stage.runningTurns === 0 &&
      this.#ledger.acts.every(({ ended }) => ended !== 'not yet') &&
      this.#deliveries.every(({ connection }) => connection.isOver)
    );
  }

  // What a step does.

  async #take(step: PlatformStep): Promise<void> {
    switch (step.do) {
      case 'speak': {
        this.#tell(step.telling);
        this.#call.speak(step.isYes);
        return this.#ask(step, undefined);
      }
      case 'silence':
        this.#tell(step.telling);
        if (!this.#isNewSilence()) return;
        return this.#deliver(this.#attempt('silence', '', step.ops, undefined), step.at, step.old);
      case 'correct': {
        const { last } = this.#call;
        if (last === undefined || last.told.length > 0) return;
        const corrected = this.#newestOf(last.n);
        this.#call.correct(last, step.how);
        return this.#ask(step, corrected);
      }
      case 'retry': {
        const newest = this.#newest;
        if (newest === undefined) return;
        this.#note(`request ${newest.n} is sent again`);
        return this.#deliver(newest, step.at, step.old);
      }
      case 'late':
        return this.#late(step.at);
      case 'insert':
        this.#inserts.push(step.isBehind);
        return;
      case 'cut':
        this.#call.keeps = step.keeps;
        return;
      case 'continue':
        return this.#continue(step.at);
      case 'drop':
        return this.#dropOld();
      case 'go on': {
        const gate = this.#cast.gates.take(step.pick);
        return gate === undefined ? undefined : this.#open(gate);
      }
    }
  }

  /** The platform decides what it tells about the newest reply, and adds lines of its own. */
  #tell(telling: Telling): void {
    const { last } = this.#call;
    if (last !== undefined) {
      const { connection } = this.#newestOf(last.n)?.deliveries.at(-1) ?? {};
      this.#call.tell(last, connection?.text ?? '', telling);
    }
    for (const isBehind of this.#inserts.splice(0)) this.#call.insert(isBehind);
  }

  /** Whether the call ends with a reply that the platform has not asked about before. */
  #isNewSilence(): boolean {
    const { last } = this.#call;
    const newest = this.#newest;
    if (last === undefined || newest === undefined || last.told.length === 0) return false;
    return newest.kind !== 'silence' || newest.told.all.at(-1)?.lines !== last.told.length;
  }

  get #newest(): Attempt | undefined {
    return this.#ledger.attempts.findLast(wantsReply);
  }

  /** The newest request for an utterance. */
  #newestOf(n: number): Attempt | undefined {
    return this.#ledger.attempts.findLast(
      (attempt) => wantsReply(attempt) && attempt.utterance.n === n,
    );
  }

  #open(gate: Gate): void {
    this.#note(gate.what);
    gate.open();
  }

  async #ask({ at, ops, old }: Asking, corrects: Attempt | undefined): Promise<void> {
    const { last } = this.#call;
    if (last === undefined) return;
    await this.#deliver(this.#attempt('words', last.words, ops, corrects), at, old);
  }

  async #late(at: number): Promise<void> {
    const { last } = this.#call;
    if (last === undefined || last.told.length > 0 || !this.#isNewestWanted()) return;
    const words = PlatformCall.beginningOf(last);
    if (words === undefined) return;
    await this.#deliver(this.#attempt('late', words, [], undefined), at, 'kept');
  }

  /** A request after a reply that broke off or failed is not late. */
  #isNewestWanted(): boolean {
    const { deliveries = [], runs = [] } = this.#newest ?? {};
    const isCut = deliveries.some(({ connection }) => connection.isDropped);
    const isOver = runs.some((run) => run.hasFailed || run.abortReason !== undefined);
    return !isCut && !isOver;
  }

  /** After a hang-up the platform may tell how it went. */
  async #continue(at: number): Promise<void> {
    const { last } = this.#call;
    const newest = this.#newest;
    const { connection } = newest?.deliveries.at(-1) ?? {};
    if (last === undefined || connection?.finishes[0] !== 'tool_calls') return;
    const called = { name: 'end_call', arguments: '{}' };
    const call = { id: 'call_1', type: 'function', function: called };
    const tail = [
      { role: 'assistant', content: connection.text, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_1', content: 'ok' },
    ];
    const attempt = this.#attempt('after a tool', last.words, [], undefined, tail);
    await this.#deliver(attempt, at, 'kept');
  }

  #attempt(
    kind: Attempt['kind'],
    words: string,
    ops: readonly ModelOp[],
    corrects: Attempt | undefined,
    tail: readonly object[] = [],
  ): Attempt {
    const { last: utterance } = this.#call;
    if (utterance === undefined) throw new Error('nobody has said anything');
    const { profile, isAnonymous } = this.#talk;
    const isSilent = kind === 'silence';
    const n = this.#ledger.attempts.length;
    const messages = this.#call.messages(isSilent);
    const all = this.#call.before(isSilent).map((said) => ({
      words: said.words, lines: said.told.length, heard: said.heard,
      isUntold: this.#call.isUntold(said),
    }));
    const sent = messages.filter(({ role }) => role === 'user').length;
    const hasReply = messages.some(({ role, content }) => role === 'assistant' && isReply(content));
    const key = profile === 'cartesia' ? { 'idempotency-key': `key-${n}` } : {};
    const asked = [
      { role: 'system', content: 'Be nice.' },
      ...messages,
      ...(isSilent ? [] : [{ role: 'user', content: words }]),
      ...tail,
    ];
    const attempt: Attempt = {
      n, kind, utterance, words, ops, corrects, told: { all, sent, hasReply },
      lines: messages.length, deliveries: [], runs: [],
      identity: JSON.stringify([key, asked]),
      body: JSON.stringify({
        stream: true,
        messages: asked,
        tools: [{ type: 'function', function: { name: 'end_call', parameters: {} } }],
        ...(profile === 'vapi' && !isAnonymous ? VAPI_CALL : {}),
        plan: n,
      }),
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${KEY}`,
        ...(isAnonymous ? {} : idHeaderOf(profile)),
        ...key,
      },
    };
    this.#ledger.attempts.push(attempt);
    this.#note(`request ${n}, ${kind}: ${shown(messages)} | ${words}`);
    return attempt;
  }

  async #deliver(attempt: Attempt, at: number, old: OldConnections): Promise<void> {
    const openRuns = this.#ledger.runs.filter(({ isOver }) => !isOver());
    if (old === 'dropped before') this.#dropOld();
    const connection = this.#stage.send(at, attempt.body, attempt.headers);
    const delivery = {
      attempt, connection, process: at % this.#talk.processes, arrivedAtMs: this.#stage.clock.nowMs,
      openRuns,
    };
    if (this.#talk.processes > 1) this.#note(`  to process ${at}`);
    attempt.deliveries.push(delivery);
    this.#deliveries.push(delivery);
    if (old !== 'dropped after') return;
    await this.#stage.quiet();
    this.#dropOld(delivery);
  }

  /** Drops the connections that are still open, except one. */
  #dropOld(kept?: Delivery): void {
    for (const delivery of this.#deliveries) {
      if (delivery === kept || delivery.connection.hasEnded || delivery.connection.isDropped)
        continue;
      this.#note(`the platform drops request ${delivery.attempt.n}`);
      delivery.connection.drop();
    }
  }

  // What is recorded.

  #begin(turn: MessageTurn, reply: Reply, answered: readonly number[]): Run {
    const { plan } = turn.event as { readonly plan?: number };
    const attempt = this.#ledger.attempts[plan ?? -1];
    if (attempt === undefined) throw new Error('a turn of no request');
    const run: Run = {
      n: this.#ledger.runs.length + 1,
      attempt,
      turnId: turn.turnId,
      pieces: [],
      knownKeys: new Set(turn.history.flatMap((message) =>
        message.role === 'tool' && message.key !== undefined ? [message.key] : [],
      )),
      hasFailed: false,
      abortReason: undefined,
      isOver: () => reply.isOver,
    };
    this.#note(`  the agent is asked for request ${attempt.n}: run ${run.n}`);
    turn.signal.addEventListener('abort', () => {
      run.abortReason = (turn.signal.reason as Error).message;
      this.#note(`  run ${run.n} is ended: ${run.abortReason}`);
    });
    this.#ledger.runs.push(run);
    attempt.runs.push(run);
    this.#record.judge(this.#model.wrongsOfRun(run, turn.history, answered), turn.history);
    return run;
  }

  #act({ tool, args, key }: Pick<Act, 'tool' | 'args' | 'key'>, turnId: string): Act {
    const run = this.#ledger.runs.findLast((candidate) => candidate.turnId === turnId);
    if (run === undefined) throw new Error('a tool was called for no run');
    const act: Act = {
      n: this.#ledger.acts.length, tool, args, key, run, beganAtMs: this.#stage.clock.nowMs,
      ended: 'not yet', endedAtMs: undefined, result: undefined,
    };
    this.#note(`  act ${act.n} begins for run ${run.n}: ${tool} ${args}`);
    this.#ledger.acts.push(act);
    this.#record.wrongs.push(...this.#model.wrongsOfAct(act));
    return act;
  }

  #note(line: string): void {
    this.#stage?.news();
    this.#record.note(line);
  }
}

/** Vapi names the conversation in the body. */
function idHeaderOf(profile: ProfileName): Readonly<Record<string, string>> {
  if (profile === 'vapi') return {};
  return { [profile === 'livekit' ? 'x-livekit-room-id' : 'x-conversation-id']: CONVERSATION };
}

const VAPI_CALL = { call: { id: CONVERSATION, type: 'inboundPhoneCall' } };

function shown(messages: readonly SentMessage[]): string {
  return messages.map(({ role, content }) => `${role[0]}: ${content}`).join(' / ');
}
