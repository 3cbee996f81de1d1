import { after } from '../base/awaitable.ts';
import type { TurnState } from '../conversations/message.ts';
import { RunningTurn } from './turn.ts';
import type { BegunTurn, TurnRequest, TurnScope } from './delivery.ts';

/** The turns that run now: at most one a conversation. Decides whether a delivery begins a turn, joins it, or ends another. */
export class Turns {
  readonly #scope: TurnScope;
  readonly #running = new Map<string, RunningTurn>();

  readonly #onEnd = (turn: RunningTurn): void => {
    if (this.#running.get(turn.conversationId) === turn) this.#running.delete(turn.conversationId);
  };

  constructor(scope: TurnScope) {
    this.#scope = scope;
  }

  /** How many run. */
  get count(): number {
    return this.#running.size;
  }

  /** Begins the turn, or joins the one of that id which runs: the newer delivery takes its stream over. Returns what to tell of a drop. */
  start(request: TurnRequest): BegunTurn {
    const running = this.#running.get(request.conversationId);
    if (running === undefined || request.turnId === undefined || running.turnId === request.turnId) return this.#startNew(request, running);
    return this.#startBeside(request, request.turnId);
  }

  /** Joins the turn where it runs, and ends the one that runs instead. */
  #startNew(request: TurnRequest, running: RunningTurn | undefined): RunningTurn {
    if (running !== undefined && running.turnId === request.turnId) {
      running.takeOver(request);
      return running;
    }
    running?.interrupt('a newer turn began');
    return this.#begin(request);
  }

  /** Another turn runs. A late delivery of an older one is no barge-in, and must not silence the newer. */
  #startBeside(request: TurnRequest, turnId: string): BegunTurn {
    request.sink.flush();
    let isDropped = false;
    let begun: RunningTurn | undefined;
    const decide = (state: TurnState | undefined): void => {
      const running = this.#running.get(request.conversationId);
      if (isDropped) {
        // The caller spoke, and left before anything was known. There is nobody to answer, and nothing to go on with.
        if (state === undefined) this.interrupt(request.conversationId, 'a newer turn began');
        request.onOutcome({ outcome: 'interrupted' });
      } else if (state === undefined || running?.turnId === turnId) begun = this.#startNew(request, running);
      else if (state === 'completed') {
        begun = new RunningTurn(request, this.#scope, this.#onEnd); // says again what it said, beside the one that runs
        begun.start();
      } else {
        request.sink.end();
        request.onOutcome({ outcome: 'stale' });
      }
    };
    const undecided = (error: unknown): void => {
      request.source.log.error('the state of a turn could not be read', { turnId, error });
      decide(undefined);
    };
    try {
      const decided = after(this.#scope.conversations.turnState(request.conversationId, turnId), decide);
      if (decided instanceof Promise) decided.catch(undecided);
    } catch (error) {
      undecided(error);
    }
    return {
      drop() {
        isDropped = true;
        begun?.drop(request);
      },
    };
  }

  #begin(request: TurnRequest): RunningTurn {
    const turn = new RunningTurn(request, this.#scope, this.#onEnd);
    turn.start();
    // A turn that has ended by now was never there: a Map that is filled and emptied all the time leaves tables behind that
    // hold its turns until the next full garbage collection.
    if (!turn.isOver) this.#running.set(request.conversationId, turn);
    return turn;
  }

  /** Ends the conversation's running turn as interrupted; with `sessionId` only a turn of that session. False when there is none. */
  interrupt(conversationId: string, reason: string, sessionId?: string): boolean {
    const running = this.#running.get(conversationId);
    if (running === undefined) return false;
    const { event } = running;
    if (sessionId !== undefined && 'session_id' in event && event.session_id !== sessionId) return false;
    running.interrupt(reason);
    return true;
  }

  interruptAll(reason: string): void {
    for (const running of [...this.#running.values()]) running.interrupt(reason);
  }
}
