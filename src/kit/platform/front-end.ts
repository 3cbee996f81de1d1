import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../../base/awaitable.ts';
import type { CallListener } from './caller-session.ts';
import type { CallerTurn } from './caller-turn.ts';
import type { ServerFrame } from './frames.ts';

/**
 * Some clients start their turn three seconds after the last sound. While a reply is streaming they
 * get a silent audio frame at this interval.
 */
const SILENT_AUDIO_MS = 1_000;

export interface FrontEndOptions {
  /**
   * Receives every frame for the front end, in order. If it returns a promise, the rest of the
   * reply is read once that has resolved, so back-pressure reaches the agent.
   */
  readonly onFrame: (frame: ServerFrame) => Awaitable<unknown>;
  readonly onHangUp: () => void;
  /** Whether `onFrame` also gets the trace frames. */
  readonly isTraced: boolean;
}

/** Reports a call to a front end, in frames. */
export function frontEnd({ onFrame: tell, onHangUp, isTraced }: FrontEndOptions): CallListener {
  const zeroMs = performance.now();
  const begun = new WeakSet<CallerTurn>();

  /** Called with the first text, not earlier: clients measure the wait for the voice from here. */
  async function start(turn: CallerTurn): Promise<void> {
    if (begun.has(turn)) return;
    begun.add(turn);
    const turn_id = turn.id;
    const ticker = setInterval(() => {
      if (turn.delivery === undefined) return clearInterval(ticker);
      void tell({ type: 'response.audio', content: '', delta_id: randomUUID(), turn_id });
    }, SILENT_AUDIO_MS).unref();
    await tell({ type: 'turn.start', role: 'assistant', turn_id });
  }

  return {
    onSaid(content, turn_id) {
      // Not awaited: if another text arrives now, it must find this one's turn already begun.
      void tell({ type: 'turn.start', role: 'user', turn_id });
      void tell({ type: 'user.transcript', content, turn_id });
      void tell({ type: 'turn.end', role: 'user', turn_id });
    },
    async onText(content, turn) {
      await start(turn);
      await tell({ type: 'response.text.delta', content, turn_id: turn.id });
    },
    onData: (content, { id: turn_id }) => tell({ type: 'response.data', content, turn_id }),
    async onReply(turn) {
      const { id: turn_id, text: content } = turn;
      await start(turn); // a silent turn has a beginning and an end too
      if (content !== '') await tell({ type: 'response.text', content, turn_id });
      await tell({ type: 'response.end', turn_id });
      await tell({ type: 'turn.end', role: 'assistant', turn_id });
    },
    onLeft(turn) {
      if (begun.has(turn)) void tell({ type: 'turn.end', role: 'assistant', turn_id: turn.id });
    },
    onHangUp,
    // Times are in milliseconds since the session began, rounded to a tenth.
    onTrace: (frame) => isTraced
      ? tell({ ...frame, at: Math.round((performance.now() - zeroMs) * 10) / 10 })
      : undefined,
  };
}
