// How a reply appears in history: what was sent, and the tools called in between, as messages.

import type { SentEvent } from '../calls/reply-event.ts';
import type {
  AssistantMessage,
  Message,
} from '../conversations/message.ts';
import type { SpokenToolCall } from '../tools/tool-calls-noted.ts';

/** From here on another agent speaks. */
export interface SpeakerChange {
  /** Its name. Undefined is the path's own agent. */
  readonly agent: string | undefined;
  /** How many messages of the reply are those of the agents before it. */
  readonly messagesBefore: number;
  hasSpoken: boolean;
}

/** A break in the reply: calls that a model made together, or a change of speaker. */
export interface Break {
  readonly calls: readonly SpokenToolCall[];
  /** How many events had been sent before. */
  readonly sentBefore: number;
  readonly change?: SpeakerChange;
}

const NO_BREAKS: readonly Break[] = [];

/** Takes values out of the beginning of a text. */
export interface Redactor {
  /** The first `length` characters, without values that begin in them. */
  beginning(text: string, length: number): string;
}

/**
 * The messages of a reply up to its first `count` events: texts and tool calls in order, each call
 * with its result.
 */
export function messagesOf(
  sent: readonly SentEvent[],
  breaks: readonly Break[] | undefined,
  turnId: string,
  state: AssistantMessage['state'],
  count: number,
  redactor?: Redactor,
): Message[] {
  const wordsOf = (from: number, to: number): string => {
    const words = ownText(sent, from, Math.min(to, count));
    // A value may have been sent in part.
    return redactor === undefined
      ? words
      : redactor.beginning(ownText(sent, from, to), words.length);
  };
  const messages: Message[] = [];
  let from = 0;
  let agent: string | undefined;
  for (const { calls, sentBefore, change } of breaks ?? NO_BREAKS) {
    const content = wordsOf(from, sentBefore);
    from = sentBefore;
    if (change !== undefined) {
      if (content !== '') messages.push(by(agent, { role: 'assistant', content, turnId, state }));
      agent = change.agent;
      continue;
    }
    const toolCalls = calls.map(({ call }) => call);
    messages.push(by(agent, { role: 'assistant', content, turnId, state, toolCalls }));
    for (const call of calls) messages.push(resultOf(call, turnId));
  }
  const rest = wordsOf(from, sent.length);
  if (rest !== '') messages.push(by(agent, { role: 'assistant', content: rest, turnId, state }));
  return messages;
}

function resultOf(
  { call, key, owner: { runId, process }, joins, isRepeatable, state, content, handOver }:
    SpokenToolCall,
  turnId: string,
): Message {
  return {
    role: 'tool',
    content,
    turnId,
    toolCallId: call.id,
    runId,
    ...(process === undefined ? {} : { process }),
    state,
    ...(joins === true ? { joins } : {}),
    ...(isRepeatable === true ? { isRepeatable } : {}),
    ...(key === undefined ? {} : { key }),
    ...(handOver === undefined ? {} : { handOver }),
  };
}

function by(agent: string | undefined, message: AssistantMessage): AssistantMessage {
  return agent === undefined ? message : { ...message, agent };
}

/**
 * Names of the agents that spoke, in order. The path's own agent, named `own`, is the first if the
 * reply begins with it: then the first break is the call that handed over.
 */
export function speakersIn(breaks: readonly Break[], own: string | undefined): string[] {
  const names = breaks.map(({ change }, index) => {
    if (change !== undefined) return change.agent ?? own;
    return index === 0 ? own : undefined;
  });
  return names.filter((name) => name !== undefined);
}

/** The words of agents among the events from `from` up to `to`, without fillers. */
export function ownText(events: readonly SentEvent[], from: number, to: number): string {
  let text = '';
  for (let index = from; index < Math.min(to, events.length); index++) {
    const event = events[index];
    if (event !== undefined && isOwnText(event)) text += event.text;
  }
  return text;
}

/**
 * What to send if the turn is delivered again after it has completed: the same events, with
 * adjacent texts joined and without fillers. Undefined if the messages alone give the same.
 */
export function replayOf(sent: readonly SentEvent[]): SentEvent[] | undefined {
  if (sent.every(isOwnText)) return undefined;
  const replay: SentEvent[] = [];
  for (const event of sent) {
    if (event.type === 'say' && event.isFiller === true) continue;
    const last = replay.at(-1);
    if (event.type === 'say' && last?.type === 'say')
      replay[replay.length - 1] = { ...last, text: last.text + event.text };
    else replay.push(event);
  }
  return replay;
}

/** Whether the event is text of an agent, and no filler. */
export function isOwnText(event: SentEvent): event is Extract<SentEvent, { type: 'say' }> {
  return event.type === 'say' && event.isFiller !== true;
}
