import type { EventContext } from '../agents/agent.ts';
import type { CallEvent } from '../calls/call-event.ts';
import type { Context } from '../http/context.ts';
import type { Settings } from '../settings/settings.ts';

/**
 * The context of a hook that does not speak. Its signal fires after as long as a turn may take, and
 * when the platform disconnects. Not `AbortSignal.any` with `AbortSignal.timeout`: Node 20 collects
 * the latter.
 */
export function hookContext<E extends CallEvent>(
  { conversationId, wire, language, metadata, raw }: E,
  context: Context,
  { turnTimeoutSeconds }: Settings,
): EventContext<E['raw']> {
  const timeoutMs = turnTimeoutSeconds * 1_000;
  const controller = new AbortController();
  const timer = setTimeout(() => {
    const reason = `the agent took longer than ${timeoutMs} ms`;
    controller.abort(new DOMException(reason, 'TimeoutError'));
  }, timeoutMs);
  context.onClose((isFinished) => {
    clearTimeout(timer);
    if (isFinished) return;
    controller.abort(new DOMException('the caller closed the connection', 'AbortError'));
  });
  const { headers, log } = context;
  const { signal } = controller;
  return { event: raw, conversationId, wire, language, metadata, headers, log, signal };
}
