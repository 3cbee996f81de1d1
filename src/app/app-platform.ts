import type { ConversationManager } from '../conversations/manager.ts';
import type { Route } from '../http/compose.ts';
import type { SessionAuthority } from '../routes/authorize.ts';
import type { TurnFigures } from '../routes/webhook-delivery.ts';

/** An agent whose calls the platform can stand in for. */
export interface PlatformAgent {
  /** Of several agents the name that it was given. */
  readonly name: string;
  /** Where its events are posted. */
  readonly path: string;
  /** Signs them. */
  readonly secret: string;
  readonly conversations: ConversationManager;
}

/** What an app needs of whatever stands in for LayerCode's cloud: `LocalPlatform` is one. */
export interface AppPlatform extends SessionAuthority {
  /** Paths that take WebSocket upgrades. */
  readonly webSocketPaths: readonly string[];
  /**
   * Called once, with the app's agents: at least one, the default first. Returns the platform's own
   * routes, added behind the app's.
   */
  serve(agents: readonly [PlatformAgent, ...PlatformAgent[]]): readonly Route[];
  /** Called at the end of every turn. */
  turnEnded(figures: TurnFigures): void;
  /** Ends all sessions and opens no more. The app calls it when it begins to drain. */
  close(): Promise<void>;
}
