import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../../base/awaitable.ts';
import type { Json } from '../../base/json.ts';
import type { CallListener } from './caller-session.ts';
import type { CallerTurn } from './caller-turn.ts';
import type { DeliveryFrame, ServerFrame } from './frames.ts';

/**
 * Some clients start their turn three seconds after the last sound. While a reply streams they get
 * a silent audio frame at this interval.
 */
const SILENT_AUDIO_MS = 1_000;

export interface FrontEndOptions {
  /**
   * Receives every frame for the front end, in order. If it returns a promise, the rest of the
   * reply is read after that, so back-pressure reaches the agent.
   */
  readonly onFrame: (frame: ServerFrame) => Awaitable<unknown>;
  readonly onHangUp: () => void;
  /** Whether `onFrame` also gets the trace frames. */
  readonly isTraced: boolean;
}

/** Reports a call to a front end, in frames. */
export class FrontEnd implements CallListener {
  readonly #options: FrontEndOptions;
  readonly #zeroMs = performance.now();
  readonly #begun = new WeakSet<CallerTurn>();

  constructor(options: FrontEndOptions) {
    this.#options = options;
  }

  onSaid(content: string, turn_id: string): void {
    // Not awaited: if another text arrives now, it must find this one's turn already begun.
    void this.#tell({ type: 'turn.start', role: 'user', turn_id });
    void this.#tell({ type: 'user.transcript', content, turn_id });
    void this.#tell({ type: 'turn.end', role: 'user', turn_id });
  }

  async onText(content: string, turn: CallerTurn): Promise<void> {
    await this.#start(turn);
    await this.#tell({ type: 'response.text.delta', content, turn_id: turn.id });
  }

  onData(content: Json, { id: turn_id }: CallerTurn): Awaitable<unknown> {
    return this.#tell({ type: 'response.data', content, turn_id });
  }

  async onReply(turn: CallerTurn): Promise<void> {
    const { id: turn_id, text: content } = turn;
    await this.#start(turn); // a silent turn has a beginning and an end too
    if (content !== '') await this.#tell({ type: 'response.text', content, turn_id });
    await this.#tell({ type: 'response.end', turn_id });
    await this.#tell({ type: 'turn.end', role: 'assistant', turn_id });
  }

  onLeft(turn: CallerTurn): void {
    if (!this.#begun.has(turn)) return;
    void this.#tell({ type: 'turn.end', role: 'assistant', turn_id: turn.id });
  }

  onHangUp(): void {
    this.#options.onHangUp();
  }

  /** Times are in milliseconds since the session began, rounded to a tenth. */
  onTrace(frame: DeliveryFrame): Awaitable<unknown> {
    if (!this.#options.isTraced) return undefined;
    return this.#tell({ ...frame, at: Math.round((performance.now() - this.#zeroMs) * 10) / 10 });
  }

  #tell(frame: ServerFrame): Awaitable<unknown> {
    return this.#options.onFrame(frame);
  }

  /** Called at the first text, not earlier: clients measure the wait for the voice from here. */
  async #start(turn: CallerTurn): Promise<void> {
    if (this.#begun.has(turn)) return;
    this.#begun.add(turn);
    const turn_id = turn.id;
    const ticker = setInterval(() => {
      if (turn.delivery === undefined) return clearInterval(ticker);
      void this.#tell({ type: 'response.audio', content: '', delta_id: randomUUID(), turn_id });
    }, SILENT_AUDIO_MS).unref();
    await this.#tell({ type: 'turn.start', role: 'assistant', turn_id });
  }
}
