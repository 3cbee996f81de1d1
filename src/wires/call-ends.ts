import type { Agent, EventContext } from '../agents/agent.ts';
import { andThen, type Awaitable } from '../base/awaitable.ts';
import type { CallEnd } from '../calls/call-event.ts';
import { EndedSessions } from '../calls/ended-sessions.ts';
import type { OpenSessions } from '../calls/open-sessions.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { EndedCall } from '../records/call-record.ts';
import type { CallRecords } from '../records/call-recorder.ts';
import type { Turns } from '../turns/turns.ts';

export interface CallEndsOptions {
  readonly agent: Agent;
  /** The agent's name in records. */
  readonly agentName: string;
  readonly conversations: ConversationManager;
  readonly turns: Turns;
  /** Undefined if no shutdown waits for sessions. */
  readonly openSessions?: OpenSessions | undefined;
  /** Keeps a record of each call. Default: no records. */
  readonly records?: CallRecords | undefined;
  /** Whether the agent is told of a call that has no turns. Default true. */
  readonly tellsOfSilentCalls?: boolean;
}

/** What follows the end of a call: its turn ends, it is recorded, and the agent is told. */
export class CallEnds {
  readonly #options: CallEndsOptions;
  readonly #ended = new EndedSessions();

  constructor(options: CallEndsOptions) {
    this.#options = options;
  }

  /**
   * Ends the session's turns. Returns false if the end is known already: then at most its record
   * gets times that the first report did not have.
   */
  end(event: CallEnd, reason: string): boolean {
    const { openSessions, turns } = this.#options;
    const { conversationId, sessionId } = event;
    openSessions?.end(sessionId);
    if (!this.#ended.add(sessionId)) {
      this.#options.records?.completed?.(this.#callOf(event));
      return false;
    }
    turns.interrupt(conversationId, reason, sessionId);
    this.#keepRecord(event); // after that, so that the store hears of the interruption first
    return true;
  }

  /**
   * Tells the agent. If its hook fails, the end counts as not known, so that a repeated report is
   * passed on again.
   */
  tell(event: CallEnd, given: EventContext<CallEnd['raw']>): Awaitable<void> {
    this.#options.turns.forgetValues(event);
    const failed = (error: unknown): never => {
      this.#ended.forget(event.sessionId);
      throw error;
    };
    try {
      const done = this.#tell(event, given);
      return done instanceof Promise ? done.catch(failed) : done;
    } catch (error) {
      return failed(error);
    }
  }

  /** Reads the conversation only for an agent that has the hook. */
  #tell(event: CallEnd, given: EventContext<CallEnd['raw']>): Awaitable<void> {
    const { agent, conversations, turns, tellsOfSilentCalls = true } = this.#options;
    if (agent.onSessionEnd === undefined) return;
    return andThen(conversations.read(event.conversationId), (conversation) => {
      const told = turns.toldAtEnd(event, given, conversation);
      const isKnown = told.history.length > 0 || conversations.isStoreAway;
      if (isKnown || tellsOfSilentCalls) return agent.onSessionEnd?.(told);
    });
  }

  #keepRecord(event: CallEnd): void {
    const { records, conversations } = this.#options;
    records?.ended(
      this.#callOf(event),
      () => conversations.readOrMark(event.conversationId),
      () => conversations.isStoreAway,
    );
  }

  #callOf({
    conversationId, sessionId, wire, caller, startedAt, endedAt, isReportedAgain,
  }: CallEnd): EndedCall {
    const { conversations, agentName: agent } = this.#options;
    return {
      sessionId,
      conversationId,
      conversationKey: conversations.keyOf(conversationId),
      agent,
      wire,
      caller,
      startedAt,
      endedAt: endedAt ?? Date.now(),
      ...(isReportedAgain === true ? { isReportedAgain } : {}),
    };
  }
}
