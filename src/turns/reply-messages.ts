// How a reply stands in history: what was sent, and the tools that were called in between, as
// messages.

import type {
  AssistantMessage,
  Message,
  SentEvent,
  ToolCall,
  ToolCallState,
} from '../conversations/message.ts';

/** A tool call of the reply, and what is known of its result. */
export interface SpokenCall {
  readonly call: ToolCall;
  readonly key: string | undefined;
  state: ToolCallState;
  content: string;
  /** The agent that it handed the conversation over to. */
  handOver?: string;
}

/** Another agent speaks from here on. */
export interface SpeakerChange {
  /** Undefined: the path's own. */
  readonly agent: string | undefined;
  /** How many messages the agents before it have left. */
  readonly messagesBefore: number;
  hasSpoken: boolean;
}

/** A break in the reply: calls that a model made together, or a change of the speaker. */
export interface Break {
  readonly calls: readonly SpokenCall[];
  /** How many events had been sent before. */
  readonly sentBefore: number;
  readonly change?: SpeakerChange;
}

const NO_BREAKS: readonly Break[] = [];

/**
 * The messages of a reply, as far as its first `count` events: texts and tool calls in their order,
 * each call with its result.
 */
export function messagesOf(
  sent: readonly SentEvent[],
  breaks: readonly Break[] = NO_BREAKS,
  turnId: string,
  state: AssistantMessage['state'],
  count: number,
): Message[] {
  const messages: Message[] = [];
  let from = 0;
  let agent: string | undefined;
  for (const { calls, sentBefore, change } of breaks) {
    const content = ownText(sent, from, Math.min(sentBefore, count));
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
  const rest = ownText(sent, from, count);
  if (rest !== '') messages.push(by(agent, { role: 'assistant', content: rest, turnId, state }));
  return messages;
}

function resultOf({ call, key, state, content, handOver }: SpokenCall, turnId: string): Message {
  return {
    role: 'tool',
    content,
    turnId,
    toolCallId: call.id,
    state,
    ...(key === undefined ? {} : { key }),
    ...(handOver === undefined ? {} : { handOver }),
  };
}

function by(agent: string | undefined, message: AssistantMessage): AssistantMessage {
  return agent === undefined ? message : { ...message, agent };
}

/**
 * The agents that spoke, in their order. `own` is the name of the path's own: it is the first of
 * them if it called a tool, as it cannot hand over otherwise.
 */
export function speakersIn(breaks: readonly Break[], own: string | undefined): string[] {
  const names = breaks.map(({ change }, index) => {
    if (change !== undefined) return change.agent ?? own;
    return index === 0 ? own : undefined;
  });
  return names.filter((name) => name !== undefined);
}

/** The agents' own words among the events from `from` to `to`. Fillers are none. */
export function ownText(events: readonly SentEvent[], from: number, to: number): string {
  let text = '';
  for (let index = from; index < Math.min(to, events.length); index++) {
    const event = events[index];
    if (event !== undefined && isOwnText(event)) text += event.text;
  }
  return text;
}

/**
 * What to send when the turn is delivered again: the same events without fillers, neighbouring
 * texts as one. Undefined if the messages alone say it all.
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

/** Whether an event is a word of the agent, which a filler is not. */
export function isOwnText(event: SentEvent): event is Extract<SentEvent, { type: 'say' }> {
  return event.type === 'say' && event.isFiller !== true;
}
