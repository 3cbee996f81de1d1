import type { Context } from '../../base/http/context.ts';
import type { Agent } from '../agents/agent.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { OpenSessions } from '../calls/open-sessions.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { TurnReport } from '../turns/delivery.ts';
import type { Turns } from '../turns/turns.ts';
import type { EndedCallRecords } from './ended-call-records.ts';

/** What is open at the moment. All routes of an app share it, as they share the limits. */
export interface OpenRequests {
  /** Turns whose reply is being sent. */
  streams: number;
  /** Events without a reply that the agent is handling. */
  hooks: number;
}

/** Called when a delivery of a turn has been answered. */
export type TurnObserver = (
  delivery: { readonly event: TurnEvent; readonly context: Context },
  report: TurnReport,
) => void;

/** What the wires read of a server's settings. */
export interface WireSettings {
  readonly turnTimeoutSeconds: number;
  /** 0: no heartbeats. */
  readonly heartbeatSeconds: number;
  /** How many replies may be open at once. */
  readonly maxStreams: number;
}

/** What every wire needs to serve an agent. */
export interface WireOptions {
  readonly agent: Agent;
  /** The name that the agent is served under. */
  readonly agentName: string;
  readonly conversations: ConversationManager;
  readonly turns: Turns;
  readonly open: OpenRequests;
  readonly settings: WireSettings;
  readonly onTurnEnd: TurnObserver;
  /** Undefined if no shutdown waits for sessions, or if nobody says when they end. */
  readonly openSessions: OpenSessions | undefined;
  /** Undefined if no records of calls are kept. */
  readonly records: EndedCallRecords | undefined;
}
