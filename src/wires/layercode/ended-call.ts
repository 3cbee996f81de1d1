import type { EndedCall } from '../../records/call-record.ts';
import {
  callerOf,
  conversationIdOf,
  sessionIdOf,
  type CallEndedEvent,
  type SessionEndEvent,
} from './events.ts';

/** What a call's record needs from the event of its end. */
export function endedCallOf(
  event: SessionEndEvent | CallEndedEvent,
  conversationKey: string,
  agent: string,
): EndedCall {
  const isSession = event.type === 'session.end';
  return {
    sessionId: sessionIdOf(event),
    conversationId: conversationIdOf(event),
    conversationKey,
    agent,
    caller: callerOf(event),
    startedAt: isSession ? timeOf(event.started_at) : undefined,
    endedAt: timeOf(isSession ? event.ended_at : event.timestamp) ?? Date.now(),
  };
}

/** Milliseconds since the epoch. Undefined if the time is missing or invalid. */
function timeOf(time: string | number | null | undefined): number | undefined {
  if (time === null || time === undefined) return undefined;
  const ms = new Date(time).getTime();
  return Number.isNaN(ms) ? undefined : ms;
}
