import { andThen, isThenable, soon, type Awaitable } from '../../base/awaitable.ts';
import { TurnAbortedError, type Spoken } from '../agents/agent.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { Message } from '../conversations/message.ts';
import type { ToolCalls } from '../tools/tool-calls.ts';
import { callAgent, tellStarted } from './hooks.ts';
import type { Ending } from './machine.ts';
import { say } from './reply.ts';
import type { TurnRun } from './turn-run.ts';

const REASONS: Readonly<Record<Ending | 'taken over', string>> = {
  completed: 'the turn ended',
  failed: 'the turn failed',
  interrupted: 'the turn was interrupted',
  'taken over': 'another process runs the turn',
};

/** After this many empty pieces in a row, timers and sockets get a chance to run. */
const MAX_EMPTY_PIECES = 100;

type Texts = Iterator<unknown> | AsyncIterator<unknown>;

/**
 * The agents of one run of a turn: which of them speaks, how its words are spoken, and how it is
 * stopped. Its turn decides when, and learns of each end through `end`, `handOver` or `fail`.
 */
export class AgentRun {
  readonly #turn: TurnRun;
  #history: readonly Message[] | undefined;
  #calls: ToolCalls | undefined;
  /** What an agent's hook yields. Undefined once that has ended or been stopped. */
  #texts: Texts | undefined;
  /** Whether some of that is still running. */
  #isYielding = false;
  /** How many steps of `#attempt` are under way: a hand-over begins one within another. */
  #steps = 0;
  #controller: AbortController | undefined;
  #abortReason: TurnAbortedError | undefined;

  constructor(turn: TurnRun) {
    this.#turn = turn;
  }

  /** See the agents' `Turn.history`. */
  get history(): readonly Message[] {
    const { opened, told, turnId } = this.#turn;
    return (this.#history ??= frozen(opened?.history() ?? toldBy(told, turnId)));
  }

  /** Created on first use: an agent that answers at once needs none. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  get callsSoFar(): ToolCalls | undefined {
    return this.#calls;
  }

  get calls(): ToolCalls {
    const turn = this.#turn;
    if (this.#calls === undefined) {
      const { ToolCalls } = loadedWork(turn);
      this.#calls = new ToolCalls(turn, turn.opened?.earlierCalls ?? []);
    }
    return this.#calls;
  }

  /**
   * Begins the turn: tells the agent that the call has begun, if no event has said so, and lets it
   * speak. `after` is awaited first, if given.
   */
  begin(isResumed: boolean, after?: Promise<void>): void {
    const { told: event, agent } = this.#turn;
    const start = event.type === 'message' ? event.transcript?.start : undefined;
    this.#attempt(() => {
      const isTold = isResumed || start === undefined;
      const told = isTold ? after : andThen(after, () => tellStarted(agent, start, this.#turn));
      return andThen(told, () => this.#letSpeak(isResumed));
    });
  }

  /** Lets the next agent speak, to which the conversation has been handed over. */
  letNextSpeak(): void {
    const name = this.#calls?.takeNextAgent();
    const { spoken, turnId, host: { speakers }, opened } = this.#turn;
    this.#history = frozen([...this.history, ...spoken.messagesOfSpeaker(turnId)]);
    spoken.changeSpeaker(name === speakers.ownName ? undefined : name);
    this.#attempt(() => this.#letSpeak(opened?.isResumed ?? true));
  }

  /**
   * The turn is over, for a reason that the agent is told. Tool calls are aborted, or get the rest
   * of the turn's time if they want to finish, even if the turn has completed. If another process
   * has taken the turn over, all calls get it.
   */
  stop(ending: Ending | 'taken over', reason = REASONS[ending]): void {
    if (ending === 'completed' && this.#calls === undefined) return;
    const { host: { options: { settings } }, startedAtMs } = this.#turn;
    const aborted = new TurnAbortedError(reason);
    const finishMs = 1_000 * settings.turnTimeoutSeconds - (performance.now() - startedAtMs);
    this.#calls?.turnEnded(aborted, finishMs, ending === 'taken over');
    if (ending === 'completed') return;
    this.#abortReason = aborted;
    this.#controller?.abort(aborted);
    this.#releaseTexts().catch((error: unknown) => this.#turn.fail(error));
  }

  /** Takes a step in which an agent may speak. If it fails, now or later, the turn fails. */
  #attempt(step: () => Awaitable<void>): void {
    this.#steps += 1;
    try {
      const done = step();
      if (!(done instanceof Promise)) this.#stepDone();
      else done.then(() => this.#stepDone(), (error: unknown) => this.#stepFailed(error));
    } catch (error) {
      this.#stepFailed(error);
    }
  }

  #stepFailed(error: unknown): void {
    this.#turn.fail(error);
    this.#stepDone();
  }

  #stepDone(): void {
    this.#steps -= 1;
    this.#hasPaused();
  }

  /** A step or an iterable of the agent has ended. Perhaps none is running any more. */
  #hasPaused(): void {
    if (this.#steps === 0 && !this.#isYielding) this.#calls?.agentEnded();
  }

  /** Calls the hook of the agent, and speaks what it returns. */
  #letSpeak(isResumed: boolean): Awaitable<void> {
    const turn = this.#turn;
    if (!turn.isOver) return this.#speak(callAgent(turn.agent, turn, isResumed));
  }

  #speak(spoken: Awaitable<Spoken>): Awaitable<void> {
    const turn = this.#turn;
    if (spoken === undefined) return this.#agentIsDone();
    if (typeof spoken === 'string') {
      void say(turn, spoken);
      return this.#agentIsDone();
    }
    if (isThenable(spoken)) return Promise.resolve(spoken).then((value) => this.#speak(value));
    void this.#speakTexts(textsOf(spoken, turn.agent.name));
  }

  /**
   * Speaks texts piece by piece, as fast as the caller's connection takes them. Never rejects. It
   * is not awaited: functions that wait would be kept for as long as the stream is open.
   */
  async #speakTexts(texts: Texts): Promise<void> {
    const turn = this.#turn;
    this.#texts = texts;
    this.#isYielding = true;
    try {
      let emptyPieces = 0;
      while (!turn.isOver) {
        const { done, value } = await texts.next();
        if (done === true) {
          this.#texts = undefined;
          this.#textsEnded();
          break;
        }
        if (typeof value !== 'string') {
          throw new TypeError(
            `agent "${turn.agent.name}" must yield strings, got ${typeof value}`,
          );
        }
        const taken = say(turn, value);
        if (taken instanceof Promise) await taken;
        emptyPieces = value === '' ? emptyPieces + 1 : 0;
        if (emptyPieces % MAX_EMPTY_PIECES === MAX_EMPTY_PIECES - 1) await soon();
      }
      await this.#releaseTexts();
    } catch (error) {
      turn.fail(error);
    } finally {
      this.#textsReleased();
    }
  }

  /**
   * Stops the iterable, so that an agent that nobody hears does not go on paying for a model. Does
   * nothing the second time, or if the texts have ended by themselves.
   */
  async #releaseTexts(): Promise<void> {
    const texts = this.#texts;
    this.#texts = undefined;
    await texts?.return?.();
  }

  /** The texts have ended by themselves. */
  #textsEnded(): void {
    const { isOver, spoken, agent } = this.#turn;
    if (isOver) return;
    if (this.#calls?.isHandedOver === true) return; // the next agent speaks when this is released
    if (!spoken.isEmpty) return this.#turn.end();
    throw new Error(
      `agent "${agent.name}" ended its text without a word; to stay silent, return nothing or call reply.end()`,
    );
  }

  /** The agent's iterable is no longer running. */
  #textsReleased(): void {
    this.#texts = undefined;
    this.#isYielding = false;
    if (!this.#turn.isOver && this.#calls?.isHandedOver === true)
      this.#attempt(() => this.#agentIsDone());
    else this.#hasPaused();
  }

  /** The agent has no more to say: the next one continues, or the turn is over. */
  #agentIsDone(): void {
    if (this.#calls?.isHandedOver === true) this.#turn.handOver();
    else this.#turn.end();
  }
}

/** Throws an error if the code is not loaded: the agent was thought to do nothing but speak. */
export function loadedWork({ host }: TurnRun): typeof import('./agent-work.ts') {
  const { agentWork } = host.options;
  if (agentWork === undefined) throw new Error('the code for the work of agents is not loaded');
  return agentWork;
}

/** The texts of an iterable that a hook returned. Throws a `TypeError` for anything else. */
function textsOf(spoken: Exclude<Spoken, string | void>, agentName: string): Texts {
  const given: unknown = spoken; // an agent may be written without types
  if (typeof given === 'object' && given !== null) {
    if (Symbol.asyncIterator in spoken) return spoken[Symbol.asyncIterator]();
    if (Symbol.iterator in spoken) return spoken[Symbol.iterator]();
  }
  throw new TypeError(
    `agent "${agentName}" must return a string or an iterable of strings, got ${typeof spoken}`,
  );
}

/** The call up to the caller's words, for a turn that stands alone. */
function toldBy(event: TurnEvent, turnId: string): Message[] {
  if (event.type !== 'message' || event.transcript === undefined) return [];
  const lines = event.transcript.lines.map(({ role, text }, index): Message => {
    const line = { content: text, turnId: `told-${index}` };
    return role === 'user' ? { role, ...line } : { role, ...line, state: 'completed' };
  });
  return [...lines, { role: 'user', content: event.text, turnId }];
}

function frozen(messages: readonly Message[]): readonly Message[] {
  return Object.freeze(messages.map((message) => Object.freeze(message)));
}
