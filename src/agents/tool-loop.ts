import type { ToolCall } from '../conversations/message.ts';
import type { Json, JsonObject } from '../layercode/fields.ts';
import type { ChatMessage, ChatModel } from '../models/model.ts';
import type { Reply, ToolCallContext, ToolRun, Turn } from './agent.ts';
import { parseArguments } from './tool-arguments.ts';
import type { Tool } from './tool.ts';
import { Voice } from './voice.ts';

/** Rounds of tool calls in a turn. The model is then asked once more without tools, so that it must speak. */
export const MAX_TOOL_ROUNDS = 8;
/** Longest result of a tool as the model gets it, in UTF-16 code units. */
export const MAX_RESULT_LENGTH = 65_536;

export interface ToolLoopOptions {
  readonly model: ChatModel;
  readonly tools: readonly Tool[];
  /** Whether what cannot be spoken (Markdown, emoji, URLs) is taken out of the model's text. */
  readonly isSpeakable: boolean;
}

/**
 * Lets the model speak, runs the tools it asks for, hands it the results, and goes on until it has spoken. Ends quietly when the
 * turn is over; throws what the model throws, and for a reply of which nothing can be spoken.
 */
export async function runToolLoop(messages: ChatMessage[], turn: Turn, reply: Reply, { model, tools, isSpeakable }: ToolLoopOptions): Promise<void> {
  const voice = new Voice(reply, { isSpeakable });
  for (let round = 0; !reply.isOver; round++) {
    const calls: ToolCall[] = [];
    let text = '';
    const offered = round < MAX_TOOL_ROUNDS && tools.length > 0 ? { tools } : {};
    for await (const delta of model.stream(messages, { ...offered, signal: turn.signal })) {
      if (reply.isOver) return;
      if (delta.type === 'text') {
        text += delta.text;
        await voice.speak(delta.text);
      } else if (delta.type === 'toolCall') calls.push(delta.call);
      else turn.journal.noteUsage(delta);
    }
    if (reply.isOver) return;
    await voice.finish();
    if (calls.length === 0 || round === MAX_TOOL_ROUNDS) break; // what was not offered is not run
    const outcomes = await turn.journal.runTools(calls, (call) => toolRun(call, tools, turn, reply));
    messages.push({ role: 'assistant', content: text, toolCalls: outcomes.map(({ call }) => call) });
    for (const { call, content } of outcomes) messages.push({ role: 'tool', toolCallId: call.id, content });
  }
  if (!reply.isOver && voice.spoken.trim() === '') throw new Error(`model ${model.name} gave a reply of which nothing can be spoken`);
}

/** How a call is run: its arguments are checked, and the browser is told what becomes of it. */
function toolRun(call: ToolCall, tools: readonly Tool[], turn: Turn, reply: Reply): ToolRun {
  const tool = tools.find(({ name }) => name === call.name);
  const parsed = tool === undefined ? { problem: `there is no tool "${call.name}"` } : parseArguments(call.args, tool.parameters);
  if (tool === undefined || 'problem' in parsed) return { run: () => refuse(call, 'problem' in parsed ? parsed.problem : '', reply) };
  const { whenInterrupted, repeatable } = tool;
  return { whenInterrupted, repeatable, run: (told) => perform(tool, parsed.args, told, turn, reply) };
}

/** The model may mend it. */
function refuse(call: ToolCall, problem: string, reply: Reply): string {
  tell(reply, { tool: call.name, args: call.args, status: 'failed' });
  return JSON.stringify({ error: problem });
}

async function perform(tool: Tool, args: JsonObject, told: ToolCallContext, turn: Turn, reply: Reply): Promise<string> {
  const { conversationId, turnId, metadata, log } = turn;
  tell(reply, { tool: tool.name, args, status: 'running' });
  try {
    const result = await tool.run(args, { ...told, reply, conversationId, turnId, metadata, log });
    const content = contentOf(result === undefined ? { status: 'ok' } : result);
    tell(reply, { tool: tool.name, args, result: content.length <= MAX_RESULT_LENGTH && result !== undefined ? result : content });
    return content;
  } catch (error) {
    // The browser is told that it failed, and no more: what a tool throws may name hosts and keys.
    tell(reply, { tool: tool.name, args, status: 'failed' });
    throw error;
  }
}

function tell(reply: Reply, content: Json): void {
  try {
    void reply.data(content);
  } catch {
    // Nested deeper than JSON.stringify goes: the browser does without.
  }
}

function contentOf(result: Json): string {
  const text = JSON.stringify(result);
  return text.length <= MAX_RESULT_LENGTH ? text : `${text.slice(0, MAX_RESULT_LENGTH)}… [cut]`;
}
