// What a call may use. Requests are counted before they begin, in the conversation, so that the sum
// holds across processes and restarts.

import { AsyncLocalStorage } from 'node:async_hooks';

import { andThen, type Awaitable } from '../../base/awaitable.ts';
import type { ModelTokens } from '../agents/agent.ts';
import { persist, WRITE_DELAYS_MS } from '../conversations/persist.ts';
import {
  isReached, NOTHING_SPENT, type Spending, type SpendingLimits, type Spent,
} from '../conversations/spending.ts';
import { limitTextOf } from './hooks.ts';
import { TurnReply } from './reply.ts';
import type { TurnRun } from './turn-run.ts';

export interface CallLimitsOptions extends SpendingLimits {
  /** What a request has cost, sent to the model `asked` and answered by `answered`. */
  readonly spentBy: (asked: string, answered: string, tokens: ModelTokens) => Spent;
}

const FREE = { close: () => undefined };

/**
 * Ends a call before a request to a model if its session has reached a limit. The agent's
 * `limitReached` is spoken, and the agent hangs up.
 *
 * Before a request begins, an estimate of its input is counted, so that concurrent requests, here
 * or in another process, see each other. The call may exceed its limit by what the last requests
 * use beyond their estimates.
 */
export class CallLimits {
  readonly #limits: SpendingLimits;
  readonly #spentBy: CallLimitsOptions['spentBy'];
  /** The turn that the running code works for, whatever options it passes to a model. */
  readonly #turns = new AsyncLocalStorage<TurnRun>();
  /** For turns that leave nothing in history: each counts alone. */
  readonly #alone = new WeakMap<TurnRun, Spent>();

  constructor({ spentBy, ...limits }: CallLimitsOptions) {
    this.#limits = limits;
    this.#spentBy = spentBy;
  }

  /** Requests that `run` makes, at once or later, count as the turn's. */
  during(turn: TurnRun, run: () => void): void {
    this.#turns.run(turn, run);
  }

  /** See `Meter`. A request outside any turn is not limited. */
  open(
    model: string,
    inputTokens: number,
  ): Awaitable<{ close(model: string, tokens: ModelTokens | undefined): void } | undefined> {
    const turn = this.#turns.getStore();
    if (turn === undefined) return FREE;
    const reserved = this.#spentBy(model, model, { inputTokens, outputTokens: 0 });
    return andThen(this.#reserve(turn, reserved), (before) => {
      if (isReached(before, this.#limits)) return this.#end(turn, before);
      return {
        close: (answered, tokens) => {
          const used =
            tokens === undefined ? NOTHING_SPENT : this.#spentBy(model, answered, tokens);
          this.#correct(turn, reserved, used);
        },
      };
    });
  }

  /** Returns what was spent before. If that has reached a limit, nothing is reserved. */
  #reserve(turn: TurnRun, spent: Spent): Awaitable<Spent> {
    const spending = spendingOf(turn, spent);
    if (!turn.isStored) return this.#spendAlone(turn, spent, this.#limits);
    const { conversations } = turn.host;
    const reserve = (): Awaitable<Spent> =>
      conversations.spend(turn.conversationId, spending, this.#limits);
    const fromMs = performance.now();
    const before = persist(reserve, []);
    if (!(before instanceof Promise)) return before;
    return before.finally(() => turn.work.noteStore('limits', fromMs)).catch((error: unknown) => {
      logFailure(turn, error);
      return NOTHING_SPENT; // a failing store does not end calls
    });
  }

  #correct(turn: TurnRun, reserved: Spent, used: Spent): void {
    const [tokens, cost] = [used.tokens - reserved.tokens, used.cost - reserved.cost];
    if (tokens === 0 && cost === 0) return;
    if (!turn.isStored) return void this.#spendAlone(turn, { tokens, cost });
    const { host, conversationId } = turn;
    const spending = spendingOf(turn, { tokens, cost });
    // A store that fails after it has written counts it twice. That is better than not at all.
    const written = persist(
      () => host.conversations.spend(conversationId, spending), WRITE_DELAYS_MS,
    );
    if (written instanceof Promise)
      host.track(written.catch((error: unknown) => logFailure(turn, error)));
  }

  #spendAlone(turn: TurnRun, { tokens, cost }: Spent, limits?: SpendingLimits): Spent {
    const before = this.#alone.get(turn) ?? NOTHING_SPENT;
    if (limits === undefined || !isReached(before, limits))
      this.#alone.set(turn, { tokens: before.tokens + tokens, cost: before.cost + cost });
    return before;
  }

  #end(turn: TurnRun, { tokens, cost }: Spent): undefined {
    if (turn.isOver) return;
    const { log, conversationId, turnId, agent, host } = turn;
    const limit = tokens >= (this.#limits.tokens ?? Infinity) ? 'tokens' : 'cost';
    log.warn('a call has reached its limit', { conversationId, turnId, limit, tokens, cost });
    host.observer?.limitReached(limit);
    turn.work.limit = limit;
    new TurnReply(turn).hangup({ say: limitTextOf(agent, turn) });
  }
}

function spendingOf(
  { event: { sessionId }, host: { process } }: TurnRun,
  { tokens, cost }: Spent,
): Spending {
  return { sessionId, process, tokens, cost };
}

function logFailure({ log, conversationId, turnId }: TurnRun, error: unknown): void {
  log.error('what a call has used could not be stored', { conversationId, turnId, error });
}
