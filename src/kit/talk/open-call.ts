import { randomUUID } from 'node:crypto';

import { CallerSession, type CallListener } from '../platform/caller-session.ts';
import { completionsTestWire } from '../platform/completions-test-wire.ts';
import { layercodeTestWire } from '../platform/layercode-test-wire.ts';
import type { CallTarget } from './call-target.ts';
import type { KeptCall } from './kept-call.ts';

/** How long to wait for the end of the call after a failed turn, or when a person is waiting. */
export const END_TIMEOUT_MS = 5_000;

/** A call to the agent. `kept`: the call to continue, on LayerCode's wire. Default: a new call. */
export function openCall(
  target: CallTarget,
  conversationId: string,
  listener?: CallListener,
  kept?: KeptCall,
): CallerSession {
  const { url, secret, platform, caller } = target;
  const common = { url: () => url, caller, listener };
  if (platform !== undefined) {
    const { profile } = platform;
    const wire = completionsTestWire({ profile, key: secret, conversationId });
    return new CallerSession({ ...common, ...platform, wire });
  }
  const { sessionId: id = randomUUID(), interruption } = kept ?? {};
  const wire = layercodeTestWire({
    secret, agentId: 'terminal', conversationId, sessionId: id, interruption,
  });
  return new CallerSession({ ...common, wire, id });
}
