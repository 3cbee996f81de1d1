import { after } from '../awaitable.ts';
import { RunningTurn, type TurnRequest, type TurnScope } from './running-turn.ts';

/** The turns that run now: at most one a conversation. Decides whether a delivery begins a turn, joins it, or ends another. */
export class Turns {
  readonly #scope: TurnScope;
  readonly #running = new Map<string, RunningTurn>();

  constructor(scope: TurnScope) {
    this.#scope = scope;
  }

  /** How many run. */
  get count(): number {
    return this.#running.size;
  }

  /**
   * Begins the turn, or joins the one of that id which runs: the newer delivery takes its stream over. Returns what to call
   * when the request's connection closes before its stream ended.
   */
  start(request: TurnRequest): () => void {
    const running = this.#running.get(request.conversationId);
    if (running === undefined) return this.#begin(request);
    if (request.turnId === undefined) return this.#supersede(running, request);
    if (running.turnId === request.turnId) {
      running.takeOver(request);
      return () => running.drop(request);
    }
    return this.#startBeside(running, request, request.turnId);
  }

  /** A late delivery of an older turn is no barge-in, and must not silence the newer one. */
  #startBeside(running: RunningTurn, request: TurnRequest, turnId: string): () => void {
    let isClosed = false;
    let drop = (): void => {
      isClosed = true;
    };
    const decided = after(this.#scope.conversations.turnState(request.conversationId, turnId), (state) => {
      if (state === undefined) drop = this.#supersede(running, request);
      else if (state === 'completed') drop = new RunningTurn(request, this.#scope, () => undefined).start(request);
      else {
        request.sink.end();
        request.onOutcome({ outcome: 'stale' });
      }
      if (isClosed) drop();
    });
    if (decided instanceof Promise) {
      decided.catch((error: unknown) => {
        request.source.log.error('the state of a turn could not be read', { turnId, error });
        drop = this.#supersede(running, request);
      });
    }
    return () => drop();
  }

  #supersede(running: RunningTurn, request: TurnRequest): () => void {
    running.interrupt('a newer turn began');
    return this.#begin(request);
  }

  #begin(request: TurnRequest): () => void {
    const turn = new RunningTurn(request, this.#scope, () => {
      if (this.#running.get(request.conversationId) === turn) this.#running.delete(request.conversationId);
    });
    const drop = turn.start(request);
    // A turn that has ended by now was never there: a Map that is filled and emptied all the time leaves tables behind that
    // hold its turns until the next full garbage collection.
    if (!turn.isOver) this.#running.set(request.conversationId, turn);
    return drop;
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
