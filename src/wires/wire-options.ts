import type { Agent } from '../agents/agent.ts';
import type { OpenSessions } from '../calls/open-sessions.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { CallRecords } from '../records/call-recorder.ts';
import type { Settings } from '../settings/settings.ts';
import type { Turns } from '../turns/turns.ts';
import type { OpenRequests, TurnObserver } from './reply-stream.ts';

/** What every wire needs to serve an agent. */
export interface WireOptions {
  readonly agent: Agent;
  /** The name that the agent is served under. */
  readonly agentName: string;
  readonly conversations: ConversationManager;
  readonly turns: Turns;
  readonly open: OpenRequests;
  readonly settings: Settings;
  readonly onTurnEnd: TurnObserver;
  /** Undefined if no shutdown waits for sessions, or if nobody says when they end. */
  readonly openSessions: OpenSessions | undefined;
  /** Undefined if no records of calls are kept. */
  readonly records: CallRecords | undefined;
}
