import { andThen, orElse, type Awaitable } from '../../base/awaitable.ts';
import type { Context } from '../../base/http/context.ts';
import type { EventContext } from '../agents/agent.ts';
import type { CallEnd } from '../calls/call-event.ts';
import type { EndedCall } from '../calls/ended-call.ts';
import { EndedSessions } from '../calls/ended-sessions.ts';
import { historyOf } from '../conversations/conversation.ts';
import { runHook } from './silent-hooks.ts';
import type { WireOptions } from './wire-options.ts';

/** What follows the end of a call: its turn ends, it is recorded, and the agent is told. */
export class CallEnds {
  readonly #options: WireOptions;
  readonly #tellsOfSilentCalls: boolean;
  readonly #ended = new EndedSessions();

  /** `tellsOfSilentCalls`: whether the agent is told of a call that has no turns. */
  constructor(options: WireOptions, tellsOfSilentCalls: boolean) {
    this.#options = options;
    this.#tellsOfSilentCalls = tellsOfSilentCalls;
  }

  /**
   * Ends the session's turns and tells the agent. If the end is already known, at most its record
   * gets times that the first report did not have. If the hook fails, the end counts as unknown, so
   * that a repeated report is passed on.
   */
  end(context: Context, event: CallEnd, reason: string): Awaitable<void> {
    const { openSessions, records, turns, conversations } = this.#options;
    const { conversationId, sessionId } = event;
    openSessions?.end(sessionId);
    if (!this.#ended.add(sessionId)) {
      context.logFields['outcome'] = 'repeated';
      records?.completed?.(this.#callOf(event));
      return;
    }
    turns.interrupt(conversationId, reason, sessionId);
    // After that, so that the store hears of the interruption first.
    records?.ended(
      this.#callOf(event),
      () => turns.readForRecord(conversationId, context.log),
      () => conversations.isStoreAway,
    );
    return runHook(context, event, this.#options, (given, event) => {
      turns.forgetValues(event);
      return orElse(() => this.#tell(event, given), (error) => {
        this.#ended.forget(sessionId);
        throw error;
      });
    });
  }

  /** Reads the conversation only for an agent that has the hook. */
  #tell(event: CallEnd, given: EventContext<CallEnd['raw']>): Awaitable<void> {
    const { agent, conversations, turns } = this.#options;
    if (agent.onSessionEnd === undefined) return;
    return andThen(conversations.read(event.conversationId), (conversation) => {
      const hasTurns = conversation !== undefined && historyOf(conversation).length > 0;
      if (hasTurns || conversations.isStoreAway || this.#tellsOfSilentCalls)
        return agent.onSessionEnd?.(turns.toldAtEnd(event, given, conversation));
    });
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
