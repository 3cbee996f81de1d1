// An agent on the `ai` package: npm install ai@6 @ai-sdk/openai@3
// OPENAI_API_KEY=… AGENT=./examples/ai-sdk.ts npm start
import { openai } from '@ai-sdk/openai';
import { streamText, type ModelMessage } from 'ai';
import { defineAgent, type Message } from 'layercode-microserver';

export default defineAgent({
  name: 'ai_sdk',
  welcome: 'Hello! How can I help?',
  async *onMessage({ history, signal }) {
    const failures: unknown[] = [];
    const { textStream } = streamText({
      model: openai('gpt-6-luna'),
      system: 'You are on the phone. One or two short sentences, no Markdown.',
      messages: history.flatMap(toModelMessage),
      providerOptions: { openai: { reasoningEffort: 'none' } }, // answers at once
      abortSignal: signal, // ends the request when the caller interrupts or leaves
      onError: ({ error }) => void failures.push(error),
    });
    yield* textStream;
    // If the model fails, textStream ends without throwing. Throwing here leads to the apology and
    // a line in the log.
    if (failures.length > 0) throw failures[0];
  },
});

/** Marks an interrupted reply, so that the model knows the caller did not hear the rest. */
function toModelMessage(message: Message): ModelMessage[] {
  if (message.role === 'tool' || message.content === '') return []; // this agent has no tools
  const isCut = message.role === 'assistant' && message.state === 'interrupted';
  const content = isCut ? `${message.content} [interrupted]` : message.content;
  return [{ role: message.role, content }];
}
