import type { Reply } from '../agents/agent.ts';
import { soon } from '../base/awaitable.ts';

/** After this many empty pieces in a row, everything else gets its turn: clocks must fire. */
const MAX_EMPTY_PIECES = 100;

type Texts = Iterator<unknown> | AsyncIterator<unknown>;

/** Who speaks the texts, and is told once how they ended. */
export interface TextSpeaker extends Pick<Reply, 'say' | 'isOver'> {
  readonly agentName: string;
  /** The agent has no more to say. What this throws is a failure of the agent. */
  textEnded(): void;
  textFailed(error: unknown): void;
  /** Nothing of the agent's iterable runs any more, however it ended. */
  textReleased(): void;
}

/**
 * The texts that an agent's hook yields, spoken piece by piece as fast as the caller's connection
 * takes them.
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
   * Never rejects. Tells its speaker what a promise would tell: an open stream would keep that
   * promise, and the functions that wait for it.
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
            `agent "${speaker.agentName}" must yield strings, got ${typeof value}`,
          );
        }
        const taken = speaker.say(value);
        if (taken instanceof Promise) await taken;
        emptyPieces = value === '' ? emptyPieces + 1 : 0;
        if (emptyPieces % MAX_EMPTY_PIECES === MAX_EMPTY_PIECES - 1) await soon();
      }
      await this.release();
    } catch (error) {
      speaker.textFailed(error);
    } finally {
      speaker.textReleased();
    }
  }

  /**
   * Says that no more is wanted, once: an agent that nobody listens to should stop paying for a
   * model. Texts that have ended by themselves need no such word.
   */
  async release(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    await this.#texts.return?.();
  }
}
