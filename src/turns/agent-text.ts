import type { Agent, Spoken } from '../agents/agent.ts';
import { soon } from '../base/awaitable.ts';
import { say, type SpeakingTurn } from './reply.ts';

/** After so many empty pieces in a row, timers and sockets get a chance to run. */
const MAX_EMPTY_PIECES = 100;

type Texts = Iterator<unknown> | AsyncIterator<unknown>;

/** A turn that speaks texts. */
export interface TextSpeaker extends SpeakingTurn {
  readonly agent: Agent;
  /** The texts have ended by themselves. What this throws counts as a failure of the agent. */
  textEnded(): void;
  fail(error: unknown): void;
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
  readonly #speaker: TextSpeaker;
  #hasEnded = false;

  constructor(texts: Texts, speaker: TextSpeaker) {
    this.#texts = texts;
    this.#speaker = speaker;
  }

  /**
   * Speaks the texts. Never rejects. It calls the speaker at the end instead of being awaited: the
   * functions that wait would be kept for as long as the stream is open.
   */
  async speak(): Promise<void> {
    const speaker = this.#speaker;
    try {
      let emptyPieces = 0;
      while (!speaker.isOver) {
        const { done, value } = await this.#texts.next();
        if (done === true) {
          this.#hasEnded = true;
          speaker.textEnded();
          break;
        }
        if (typeof value !== 'string') {
          throw new TypeError(
            `agent "${speaker.agent.name}" must yield strings, got ${typeof value}`,
          );
        }
        const taken = say(speaker, value);
        if (taken instanceof Promise) await taken;
        emptyPieces = value === '' ? emptyPieces + 1 : 0;
        if (emptyPieces % MAX_EMPTY_PIECES === MAX_EMPTY_PIECES - 1) await soon();
      }
      await this.release();
    } catch (error) {
      speaker.fail(error);
    } finally {
      speaker.textReleased();
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
