import type { Channel } from '../../base/channel.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics, SumMetrics } from '../../base/metrics.ts';
import type { OpenSessions } from '../../core/calls/open-sessions.ts';
import type { ConversationStore } from '../../core/conversations/store.ts';
import type { CallLimits } from '../../core/turns/call-limits.ts';
import type { Tracing } from '../../core/turns/report/turn-trace.ts';
import type { CostOf } from '../../core/turns/report/turn-work.ts';
import type { OpenRequests } from '../../core/wires/wire-options.ts';
import type { CallRecords } from '../records/call-recorder.ts';
import type { Settings } from '../settings/settings.ts';
import type { AppPlatform } from './app-platform.ts';
import type { CodeOnDemand } from './code-on-demand.ts';

/** Options of `createApp`. */
export interface AppOptions {
  /** Default: no logging. */
  readonly log?: Logger;
  /**
   * Where conversations are kept. Default: in memory, within the settings' bounds. `close()`
   * closes it.
   */
  readonly store?: ConversationStore;
  /** Keeps a record of each call. Default: no records. `close()` closes it. */
  readonly records?: CallRecords;
  /**
   * The channel to other processes using the same store. Default: the store's own, if it has one.
   * `close()` closes it.
   */
  readonly channel?: Channel;
  /** Used for models and LayerCode's REST API. Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Stands in for LayerCode's cloud on this machine. Default: none. `close()` closes it. */
  readonly platform?: AppPlatform;
  /**
   * The number of processes serving the same port. Limits that are not settings are divided by it.
   * Default 1.
   */
  readonly processes?: number;
  /** Answers `/metrics` for all of those processes. Default: only this app's metrics. */
  readonly sumMetrics?: SumMetrics;
}

/** What the parts of an app share: the options with their defaults, and what follows from them. */
export interface AppParts extends Omit<AppOptions, 'channel'> {
  readonly settings: Settings;
  readonly log: Logger;
  readonly store: ConversationStore;
  /** Undefined if no messages are exchanged with other processes. */
  readonly channel: Channel | undefined;
  readonly processes: number;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly costOf: CostOf;
  /** Undefined if calls have no limit. */
  readonly limits: CallLimits | undefined;
  readonly open: OpenRequests;
  /** Undefined if a shutdown does not wait for sessions. */
  readonly openSessions: OpenSessions | undefined;
  readonly code: CodeOnDemand;
  /** Code that is being loaded. Requests would wait for it, so `listen` does. */
  readonly loading: Promise<unknown>[];
}
