// Tool calls that were lost with their process: somebody has to look into them.

import type { Logger } from '../../base/log.ts';
import type { Conversation } from '../conversations/conversation.ts';
import { callersElsewhere, type LostCall } from '../conversations/elsewhere.ts';
import { noteUnknown } from '../tools/tool-calling-turn.ts';
import { toolNamed } from '../tools/tool-list.ts';
import type { TurnHost } from './turn-run.ts';

/**
 * Reports a lost call, unless it runs again now, in the turn `turnId`, or may run again as often as
 * anybody likes.
 */
export function noteLostCall(
  host: Pick<TurnHost, 'speakers' | 'observer'>,
  log: Logger,
  { turnId, tool: called = '', isOnce, idempotencyKey }: LostCall,
  of: { readonly conversationId: string; readonly turnId?: string },
): void {
  const { own, all } = host.speakers;
  const tool = toolNamed([own, ...all.values()], called);
  const name = tool?.name ?? (isOnce ? called : 'unknown'); // only our tools make claims
  const isHarmless = tool?.once === undefined || turnId === of.turnId;
  if (tool?.repeatable === true && isHarmless) return;
  noteUnknown(host, log, { conversationId: of.conversationId, tool: name, idempotencyKey });
}

/**
 * The conversation, to record its call. Calls of processes that are gone count as lost from now on:
 * there may be no further turn to find out. For an erased conversation, the mark.
 */
export async function readForRecord(
  host: Pick<TurnHost, 'conversations' | 'process' | 'calls' | 'speakers' | 'observer'>,
  log: Logger,
  conversationId: string,
): Promise<Conversation | undefined> {
  const { conversations, process: own, calls } = host;
  const conversation = await conversations.readOrMark(conversationId);
  if (conversation === undefined) return undefined;
  const gone = await conversations.goneAmong(callersElsewhere(conversation, own));
  if (gone.size === 0) return conversation;
  const isAlive = (process: string): boolean => !gone.has(process);
  const isCallRunning = (key: string, owner = own): boolean =>
    owner === own ? calls.isRunning(key) : owner !== undefined && isAlive(owner);
  const runs = { process: own, isAlive, isCallRunning };
  for (const lost of await conversations.loseCalls(conversationId, runs))
    noteLostCall(host, log, lost, { conversationId });
  return conversations.readOrMark(conversationId);
}
