import type { LiveState } from '../agents/state/live-state.ts';
import { andThen, type Awaitable } from '../base/awaitable.ts';
import { persist, WRITE_DELAYS_MS } from '../conversations/persist.ts';
import type { TurnSettlement } from '../conversations/rules.ts';
import type { Logger } from '../log.ts';
import type { Delivery } from './delivery.ts';
import { figuresAtEnd, type MeasuredTurn } from './figures.ts';
import type { Ending } from './machine.ts';
import type { SpokenReply } from './spoken-reply.ts';
import type { TurnHost } from './turn-host.ts';

/** A turn that can be settled. */
export interface SettlingTurn extends MeasuredTurn {
  readonly turnId: string;
  readonly runId: number;
  readonly conversationId: string;
  readonly delivery: Pick<Delivery, 'unsent'>;
  readonly spoken: SpokenReply;
  readonly liveState: LiveState | undefined;
  readonly log: Logger;
}

/**
 * What history will hold of a turn that ends like this. Of an interrupted reply only the events
 * that have left this process count: those that still wait here were never sent.
 */
export function settlementOf(
  turn: SettlingTurn,
  state: Ending,
  { recordsCalls, capturesRequests, process }:
    Pick<TurnHost, 'recordsCalls' | 'capturesRequests' | 'process'>,
): TurnSettlement {
  const { turnId, runId, spoken } = turn;
  const count =
    state === 'interrupted' ? spoken.countSent(turn.delivery.unsent) : spoken.events.length;
  return {
    turnId,
    runId,
    process,
    state,
    messages: spoken.messages(turnId, state, count),
    filler: spoken.filler,
    sent: state === 'completed' ? spoken.replay() : undefined,
    figures: recordsCalls || (capturesRequests && turn.workSoFar !== undefined)
      ? figuresAtEnd(turn, state === 'failed', capturesRequests)
      : undefined,
  };
}

/**
 * Stores the settlement of a turn, and tries again if the store fails. Never throws or rejects: a
 * settlement that cannot be stored is logged. A shutdown waits for the write. `isLeaving`: the last
 * events have not left yet. If they do not, `correctSettlement` must follow.
 */
export function storeSettlement(
  turn: SettlingTurn,
  state: Ending,
  host: TurnHost,
  isLeaving?: true,
): Awaitable<void> {
  const { liveState } = turn;
  const settled = settlementOf(turn, state, host);
  const settlement = isLeaving === undefined ? settled : { ...settled, isLeaving };
  const stored = store(turn, settlement, liveState, host);
  if (!(stored instanceof Promise)) return liveState?.leave();
  const done = stored.then(() => liveState?.leave());
  host.track(done);
  return done;
}

/** A turn that was stored as complete was not heard to its end. State and figures stay. */
export function correctSettlement(turn: SettlingTurn, host: TurnHost): void {
  const settlement = { ...settlementOf(turn, 'interrupted', host), figures: undefined };
  const stored = store(turn, settlement, undefined, host);
  if (stored instanceof Promise) host.track(stored);
}

/** Returns at once if the store does. Never rejects. */
function store(
  turn: SettlingTurn,
  settlement: TurnSettlement,
  liveState: LiveState | undefined,
  { conversations }: TurnHost,
): Awaitable<void> {
  const { conversationId, log } = turn;
  const stored = andThen(
    persist(
      () => conversations.settleTurn(conversationId, withState(settlement, liveState, turn)),
      WRITE_DELAYS_MS,
    ),
    ({ isStateKept }) => liveState?.written(isStateKept, log, conversationId),
  );
  if (!(stored instanceof Promise)) return stored;
  return stored.catch((error: unknown) => logLoss(settlement, turn, error));
}

/** Adds the state as it is now: another turn may have changed it since the first try. */
function withState(
  settlement: TurnSettlement,
  liveState: LiveState | undefined,
  { log, conversationId }: SettlingTurn,
): TurnSettlement {
  if (liveState === undefined) return settlement;
  return { ...settlement, agentState: liveState.textToStore(log, conversationId) };
}

function logLoss(
  { state, messages }: TurnSettlement,
  { conversationId, turnId, log }: SettlingTurn,
  error: unknown,
): void {
  const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
  log.error('history not written', { conversationId, turnId, state, characters, error });
}
