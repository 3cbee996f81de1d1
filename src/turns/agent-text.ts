import type { Agent, Spoken } from '../agents/agent.ts';
import { soon } from '../base/awaitable.ts';
import { say, type SpeakingTurn } from './reply.ts';

/** After so many empty pieces in a row, timers and sockets get their turn. */
const MAX_EMPTY_PIECES = 100;

type Texts = Iterator<unknown> | AsyncIterator<unknown>;

/** The turn that speaks the texts. It is told once how they ended. */
export interface TextSpeaker extends SpeakingTurn {
  readonly agent: Agent;
  /** The agent has no more to say. What this throws is a failure of the agent. */
  textEnded(): void;
  fail(error: unknown): void;
  /** Nothing of the agent's iterable runs any more, however it ended. */
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
   * Speaks all of the texts. Never rejects. The speaker is told how they ended: a promise of that,
   * and the functions that wait for it, would be kept for as long as the stream is open.
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
   * Tells the iterable, once, that no more is wanted: an agent that nobody hears should not go on
   * paying for a model. Does nothing if the texts have ended by themselves.
   */
  async release(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    await this.#texts.return?.();
  }
}
