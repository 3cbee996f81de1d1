import type { Handler, Route } from '../../base/http/compose.ts';
import type { ConversationManager } from '../../core/conversations/manager.ts';
import type { ProfileName } from '../../core/wires/chat-completions/profiles.ts';
import type { SessionAuthority } from '../../core/wires/layercode/authorize.ts';
import type { DeliveryReport } from '../../core/wires/reply-stream.ts';

/** An agent the platform can call. */
export interface PlatformAgent {
  /** The agent's own name, or the one it was given among several. */
  readonly name: string;
  /** The path its events are posted to. */
  readonly path: string;
  /** The secret that signs them. */
  readonly secret: string;
  readonly conversations: ConversationManager;
  /** Serves the agent to the platform's own callers, who send this key. */
  completions(key: string, profile: ProfileName): Handler;
}

/** What an app needs from a stand-in for LayerCode's cloud, for example `LocalPlatform`. */
export interface AppPlatform extends SessionAuthority {
  /** Paths that accept WebSocket upgrades. */
  readonly webSocketPaths: readonly string[];
  /** Whether it shows what models were sent. Default false. */
  readonly showsRequests?: boolean;
  /**
   * Called once with the app's agents, at least one, the default first. Returns the platform's own
   * routes, which are added after the app's.
   */
  serve(agents: readonly [PlatformAgent, ...PlatformAgent[]]): readonly Route[];
  /** Called at the end of every turn. */
  turnEnded(report: DeliveryReport): void;
  /** Ends all sessions and opens no new ones. Called when the app begins to drain. */
  close(): Promise<void>;
}
