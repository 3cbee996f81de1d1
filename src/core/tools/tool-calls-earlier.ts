import { atMost } from '../../base/time-limit.ts';
import type { EarlierToolCall } from '../conversations/discarded-turns.ts';
import type { ToolCall } from '../conversations/message.ts';
import { canonicalArguments } from './tool-call-key.ts';
import type { RunningToolCall, RunningToolCalls, ToolCallResult } from './tool-calls-running.ts';

/** A call that was made before, which the same call in this run does not repeat. */
export interface KnownToolCall {
  readonly message: EarlierToolCall;
  /** Set if the call is running in this process. */
  readonly outcome: Promise<ToolCallResult> | undefined;
}

/**
 * The calls made by earlier runs of a turn, and by the turns that it replaces. Each stands for one
 * call of this run.
 */
export class EarlierToolCalls {
  /** By key. If several have the same key, the last one counts. */
  readonly #known = new Map<string, KnownToolCall>();
  readonly #taken = new Set<string>();
  readonly #running: RunningToolCalls;

  constructor(running: RunningToolCalls, calls: readonly EarlierToolCall[]) {
    this.#running = running;
    for (const message of calls) this.#note(message);
  }

  /** Resolves when those running here have ended, or after `ms`. Undefined if there are none. */
  ended(ms: number): Promise<unknown> | undefined {
    const outcomes = [...this.#known.values()].flatMap(({ outcome }) => outcome ?? []);
    return outcomes.length === 0 ? undefined : atMost(ms, Promise.all(outcomes));
  }

  /**
   * Notes calls of other runs that this run learns of while it goes on. `ownCall` returns this
   * run's call with a key, which does not wait for itself. The one learnt of does not stand for
   * another.
   */
  learn(
    calls: readonly EarlierToolCall[],
    ownCall: (key: string) => RunningToolCall | undefined,
  ): void {
    for (const message of calls) {
      const { key, state } = message;
      if (key === undefined) continue;
      const known = this.#known.get(key)?.message;
      if (known?.state === 'completed' || (known !== undefined && state !== 'completed')) continue;
      const own = ownCall(key);
      if (own !== undefined) this.#taken.add(key);
      this.#note(message, own);
    }
  }

  /**
   * Waits from now on for a call still running here, because it may be gone from the running calls
   * before the new run asks for it.
   */
  #note(message: EarlierToolCall, ownCall?: RunningToolCall): void {
    const { key, state } = message;
    if (key === undefined) return;
    const outcome = state === 'running' ? this.#running.outcomeBefore(key, ownCall) : undefined;
    this.#known.set(key, { message, outcome });
  }

  /**
   * The call with this key. Otherwise an identical call of a replaced turn that has another key:
   * the turn had another place in the call, or had not yet handed over to this agent.
   */
  take(key: string, call: ToolCall, agent: string | undefined): KnownToolCall | undefined {
    const known = this.#known.get(key) ?? this.#equal(call, agent);
    if (known?.message.key !== undefined) this.#taken.add(known.message.key);
    return known;
  }

  #equal({ name, args }: ToolCall, agent: string | undefined): KnownToolCall | undefined {
    for (const [key, known] of this.#known) {
      const { of } = known.message;
      if (of === undefined || of.call.name !== name || this.#taken.has(key)) continue;
      if (!of.isOtherPlace && of.agent === agent) continue;
      const canonical = canonicalArguments(args);
      if (canonical !== undefined && canonicalArguments(of.call.args) === canonical) return known;
    }
    return undefined;
  }
}
