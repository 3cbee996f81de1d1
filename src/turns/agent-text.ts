import type { Reply } from '../agents/agent.ts';
import { soon } from '../base/awaitable.ts';

/** After this many empty pieces in a row, everything else gets its turn: clocks must fire. */
const MAX_EMPTY_PIECES = 100;

type Texts = Iterator<unknown> | AsyncIterator<unknown>;

/**
 * The texts that an agent's hook yields, spoken piece by piece as fast as the caller's connection
 * takes them.
 */
export class AgentText {
  readonly #texts: Texts;
  readonly #reply: Pick<Reply, 'say' | 'isOver'>;
  readonly #agentName: string;
  #hasEnded = false;

  constructor(texts: Texts, reply: Pick<Reply, 'say' | 'isOver'>, agentName: string) {
    this.#texts = texts;
    this.#reply = reply;
    this.#agentName = agentName;
  }

  /**
   * Resolves when the texts have ended or the reply is over. Rejects with what the agent throws.
   */
  async speak(): Promise<void> {
    let emptyPieces = 0;
    while (!this.#reply.isOver) {
      const { done, value } = await this.#texts.next();
      if (done === true) {
        this.#hasEnded = true;
        return;
      }
      if (typeof value !== 'string') {
        throw new TypeError(`agent "${this.#agentName}" must yield strings, got ${typeof value}`);
      }
      const taken = this.#reply.say(value);
      if (taken instanceof Promise) await taken;
      emptyPieces = value === '' ? emptyPieces + 1 : 0;
      if (emptyPieces % MAX_EMPTY_PIECES === MAX_EMPTY_PIECES - 1) await soon();
    }
    await this.release();
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
