import type { Channel } from '../base/channel.ts';
import { ANSWER_MS } from '../tools/tool-question.ts';

/** The most processes that are expected to answer questions to everyone. */
const MAX_PEERS = 1_000;

/** How long after this process others may need until they are connected again. */
export const RECONNECT_MS = 5_000;

/**
 * Processes that answer questions to everyone: each one greets everyone at its start, and when
 * messages may have been lost, so that it and the others get to know each other. Says whether the
 * silence of others proves that they are gone.
 */
export class Peers {
  readonly #channel: Pick<Channel, 'isOpen'>;
  readonly #greetEveryone: () => void;
  readonly #known = new Set<string>();
  /** Whether messages may have been lost, so that there may be processes that are no peers yet. */
  #mayLackSome = true;
  #reopenedAtMs = -RECONNECT_MS;
  /**
   * Whether others have had the time to greet this process or to answer its greeting. Before that,
   * it cannot know who is missing after an outage.
   */
  #isAcquainted = false;
  #acquainted: NodeJS.Timeout | undefined;

  /** `greetEveryone`: asks all processes for an answer. */
  constructor(channel: Pick<Channel, 'isOpen'>, greetEveryone: () => void) {
    this.#channel = channel;
    this.#greetEveryone = greetEveryone;
  }

  get all(): ReadonlySet<string> {
    return this.#known;
  }

  /** Whether a process may answer a question to everyone that is not among `all`. */
  get mayLackSome(): boolean {
    return this.#mayLackSome;
  }

  /** The process has sent an answer, or a question to everyone. */
  note(process: string): void {
    if (this.#known.size < MAX_PEERS) this.#known.add(process);
  }

  /** `answeredMs`: how long all others may need to greet as well, or to answer. */
  greet(answeredMs = ANSWER_MS): void {
    this.#mayLackSome = true;
    this.#greetEveryone();
    if (this.#isAcquainted) return;
    clearTimeout(this.#acquainted);
    this.#acquainted = setTimeout(() => {
      this.#isAcquainted = this.#channel.isOpen !== false;
    }, answeredMs).unref();
  }

  /** Clears its timer. */
  close(): void {
    clearTimeout(this.#acquainted);
  }

  /** Messages arrive again after some may have been lost. */
  reopened(): void {
    this.#reopenedAtMs = performance.now();
    this.greet(RECONNECT_MS);
  }

  /**
   * Everyone was asked, and the processes in `silent` have not answered. Peers among them are gone,
   * unless their silence proves nothing: then returns true.
   */
  askedAll(silent: ReadonlySet<string>, hasAnswers: boolean): boolean {
    const silentPeers = [...silent].filter((process) => this.#known.has(process));
    this.#mayLackSome = silentPeers.length > 0 || !hasAnswers;
    const areDoubtful = this.isDoubtful(silent.size > 0);
    if (!areDoubtful) for (const process of silentPeers) this.#known.delete(process);
    return areDoubtful;
  }

  /**
   * Whether silence proves nothing: no message arrives here, or others may not be connected again
   * yet, after an outage that has hit all. A process that began in it does not know of whom.
   */
  isDoubtful(areAnySilent: boolean): boolean {
    if (this.#channel.isOpen === false) return true;
    const areAllKnown = this.#isAcquainted && !areAnySilent;
    return !areAllKnown && performance.now() < this.#reopenedAtMs + RECONNECT_MS;
  }
}
