// Every provider of the AI SDK as a model of this server: docs/models.md explains it.

import { openai } from '@ai-sdk/openai';
import { jsonSchema, streamText, tool, type LanguageModel, type ModelMessage } from 'ai';
import { defineAgent, hangUp, type ChatMessage, type ChatModel } from 'layercode-microserver';

function aiModel(name: string, model: LanguageModel): ChatModel {
  return {
    name, // for the log and the metrics
    async *stream(messages, { tools = [], signal }) {
      const [system, ...talk] = messages; // the prompt comes first
      const offered = tools.map(({ name, description, parameters }) => [
        name,
        tool({ description, inputSchema: jsonSchema(parameters) }), // no `execute`: we run it
      ]);
      const { fullStream } = streamText({
        model,
        system: system?.content ?? '',
        messages: toModelMessages(talk),
        tools: Object.fromEntries(offered),
        providerOptions: { openai: { reasoningEffort: 'none' } }, // answers at once
        abortSignal: signal, // fires when the caller interrupts
        onError: () => undefined, // thrown below
      });
      for await (const part of fullStream) {
        if (part.type === 'text-delta') yield { type: 'text', text: part.text };
        else if (part.type === 'tool-call') {
          const { toolCallId: id, toolName: name, input } = part;
          yield { type: 'toolCall', call: { id, name, args: JSON.stringify(input) } };
        } else if (part.type === 'error') throw part.error;
      }
    },
    warm: async () => undefined, // may open a connection when a call begins
    problems: () => [], // for /ready: sentences such as "KEY is not set"
    isUsable: () => true,
  };
}

function toModelMessages(messages: readonly ChatMessage[]): ModelMessage[] {
  const names = new Map<string, string>();
  return messages.map((message): ModelMessage => {
    if (message.role === 'tool') {
      const { toolCallId, content: value } = message;
      const toolName = names.get(toolCallId) ?? 'unknown';
      const output = { type: 'text', value } as const;
      return { role: 'tool', content: [{ type: 'tool-result', toolCallId, toolName, output }] };
    }
    if (message.role !== 'assistant') return { role: message.role, content: message.content };
    const calls = (message.toolCalls ?? []).map(({ id: toolCallId, name: toolName, args }) => {
      names.set(toolCallId, toolName);
      return { type: 'tool-call', toolCallId, toolName, input: JSON.parse(args) } as const;
    });
    const { content: text } = message;
    const said = text === '' ? [] : [{ type: 'text', text } as const];
    return { role: 'assistant', content: [...said, ...calls] };
  });
}

export default defineAgent({
  name: 'ai_model',
  prompt: 'You are on the phone. One or two short sentences.',
  tools: [hangUp],
  model: aiModel('openai:gpt-6-luna', openai('gpt-6-luna')),
});
