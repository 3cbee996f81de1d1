// What follows an event to which the agent does not speak.

import { untilAborted } from '../../base/abort.ts';
import { andThen, type Awaitable } from '../../base/awaitable.ts';
import type { Context } from '../../base/http/context.ts';
import type { EventContext } from '../agents/agent.ts';
import type { CallerInterruption, CallEvent } from '../calls/call-event.ts';
import type { WireOptions, WireSettings } from './wire-options.ts';

/** Runs a hook until it is done, or until its signal fires. It gets the event as hooks see it. */
export function runHook<E extends CallEvent, T>(
  context: Context,
  given: E,
  { turns, settings }: WireOptions,
  hook: (given: EventContext<E['raw']>, event: E) => Awaitable<T>,
): Awaitable<T> {
  return andThen(turns.told(given, context.log), (event) => {
    const signal = signalOf(context, settings);
    const { conversationId, wire, language, metadata, raw } = event;
    const { headers, log } = context;
    const about = { event: raw, conversationId, wire, language, metadata, headers, log, signal };
    return untilAborted(hook(about, event), signal);
  });
}

/**
 * Cuts a reply that was sent whole, because the caller has spoken over it. The platform does not
 * say what was heard.
 */
export function cutReply(
  context: Context,
  { conversationId }: CallerInterruption,
  { agent, conversations, settings }: WireOptions,
): Awaitable<void> {
  const signal = signalOf(context, settings);
  const cutting = andThen(
    conversations.cutTurn(conversationId, { textHeard: undefined, turnId: undefined }),
    (cut) => (cut === undefined ? undefined : agent.onInterrupted?.({ conversationId, ...cut })),
  );
  return untilAborted(cutting, signal);
}

/**
 * Fires after as long as a turn may take, and when the platform disconnects. Not `AbortSignal.any`
 * with `AbortSignal.timeout`: Node 20 collects the latter.
 */
function signalOf(context: Context, { turnTimeoutSeconds }: WireSettings): AbortSignal {
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
  return controller.signal;
}
