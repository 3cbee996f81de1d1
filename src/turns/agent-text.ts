import type { Spoken } from '../agents/agent.ts';
import { soon } from '../base/awaitable.ts';
import { say } from './reply.ts';
import type { TurnRun } from './turn-run.ts';

/** After this many empty pieces in a row, timers and sockets get a chance to run. */
const MAX_EMPTY_PIECES = 100;

type Texts = Iterator<unknown> | AsyncIterator<unknown>;

/** Told when texts have ended. */
export interface TextOwner {
  /** They have ended by themselves. What this throws counts as a failure of the agent. */
  textEnded(): void;
  /** Called last, and once: nothing of the agent's iterable runs any more. */
  textReleased(): void;
}

/** The texts of an iterable that a hook returned. Throws a `TypeError` for anything else. */
export function textsOf(spoken: Exclude<Spoken, string | void>, agentName: string): Texts {
  const given: unknown = spoken; // an agent may be written without types
  if (typeof given === 'object' && given !== null) {
    if (Symbol.asyncIterator in spoken) return spoken[Symbol.asyncIterator]();
    if (Symbol.iterator in spoken) return spoken[Symbol.iterator]();
  }
  throw new TypeError(
    `agent "${agentName}" must return a string or an iterable of strings, got ${typeof spoken}`,
  );
}

/**
 * The texts that an agent's hook yields. They are spoken piece by piece, as fast as the caller's
 * connection takes them.
 */
export class AgentText {
  readonly #texts: Texts;
  readonly #turn: TurnRun;
  readonly #owner: TextOwner;
  #hasEnded = false;

  constructor(texts: Texts, turn: TurnRun, owner: TextOwner) {
    this.#texts = texts;
    this.#turn = turn;
    this.#owner = owner;
  }

  /**
   * Speaks the texts. Never rejects. It calls its owner at the end instead of being awaited: the
   * functions that wait would be kept for as long as the stream is open.
   */
  async speak(): Promise<void> {
    const turn = this.#turn;
    try {
      let emptyPieces = 0;
      while (!turn.isOver) {
        const { done, value } = await this.#texts.next();
        if (done === true) {
          this.#hasEnded = true;
          this.#owner.textEnded();
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
      await this.release();
    } catch (error) {
      turn.fail(error);
    } finally {
      this.#owner.textReleased();
    }
  }

  /**
   * Stops the iterable, so that an agent that nobody hears does not go on paying for a model. Does
   * nothing the second time, or if the texts have ended by themselves.
   */
  async release(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    await this.#texts.return?.();
  }
}
