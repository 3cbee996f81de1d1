import type { TracedTurn, TurnEnded } from '../turns/work/turn-points.ts';
import type { OtelSpanContext } from './open-telemetry.ts';

/** A run of a turn that links may lead to. */
export interface RecentRun {
  readonly turnId: string;
  readonly span: OtelSpanContext;
  /** Undefined while it runs. */
  outcome: TurnEnded['outcome'] | undefined;
}

/** At least this many runs are known, under at most four times as many keys. */
const MIN_KNOWN = 10_000;

/** The runs that later turns interrupt or repeat. */
export class RecentRuns {
  /** By conversation, and by turn. */
  #young = new Map<string, RecentRun>();
  /**
   * The entries before those. A Map whose oldest entry is removed each time becomes slow: it has to
   * look for the first one that is left.
   */
  #old = new Map<string, RecentRun>();

  add(turn: TracedTurn, run: RecentRun): void {
    if (this.#young.size >= 2 * MIN_KNOWN) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(conversationOf(turn), run);
    this.#young.set(turnOf(turn), run);
  }

  /** The earlier run of the same turn. */
  sameTurn(turn: TracedTurn): RecentRun | undefined {
    return this.#get(turnOf(turn));
  }

  /** The newest run of the conversation, if that was another turn's. */
  turnBefore(turn: TracedTurn): RecentRun | undefined {
    const newest = this.#get(conversationOf(turn));
    return newest?.turnId === turn.turnId ? undefined : newest;
  }

  #get(key: string): RecentRun | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }
}

/** Ids hold no control characters. */
function conversationOf({ agent, conversationId }: TracedTurn): string {
  return `${agent}\n${conversationId}`;
}

function turnOf(turn: TracedTurn): string {
  return `${conversationOf(turn)}\n${turn.turnId}`;
}
