import type { ConversationManager } from '../conversations/manager.ts';
import type { Route } from '../http/compose.ts';
import type { SessionAuthority } from '../routes/authorize.ts';
import type { TurnFigures } from '../routes/webhook-delivery.ts';

/** What an app needs of whatever stands in for LayerCode's cloud: `LocalPlatform` is one. */
export interface AppPlatform extends SessionAuthority {
  /** Paths that take WebSocket upgrades. */
  readonly webSocketPaths: readonly string[];
  /** The platform's own routes, added behind the app's. */
  routes(conversations: ConversationManager): readonly Route[];
  /** Called at the end of every turn. */
  turnEnded(figures: TurnFigures): void;
  /** Ends all sessions and opens no more. The app calls it when it begins to drain. */
  close(): Promise<void>;
}
