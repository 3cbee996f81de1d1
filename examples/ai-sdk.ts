// The `ai` package as it is: its textStream is what onMessage may yield. It ends quietly when the model fails, so the error is
// caught in onError and thrown again: the caller then hears the apology, not silence.
import { defineAgent, type Agent, type Message } from 'layercode-microserver';

/** The part of `streamText` used here. In a project: `import { streamText } from 'ai'; import { openai } from '@ai-sdk/openai';` */
export type StreamText<Model> = (options: {
  readonly model: Model;
  readonly system: string;
  readonly messages: { readonly role: 'user' | 'assistant'; readonly content: string }[];
  readonly abortSignal: AbortSignal;
  readonly onError: (event: { readonly error: unknown }) => void;
}) => { readonly textStream: AsyncIterable<string> };

/** `export default createAgent(streamText, openai('gpt-5-nano'));` */
export function createAgent<Model>(streamText: StreamText<Model>, model: Model): Agent {
  return defineAgent({
    name: 'ai_sdk',
    welcome: 'Hello! How can I help?',
    async *onMessage({ history, signal }) {
      const failure: { error?: unknown } = {};
      yield* streamText({
        model,
        system: 'You are on the phone. One or two short sentences, no Markdown.',
        messages: history.flatMap(toModelMessage),
        abortSignal: signal, // a caller who leaves ends the request
        onError: (event) => {
          failure.error = event.error;
        },
      }).textStream;
      if ('error' in failure) throw failure.error;
    },
  });
}

function toModelMessage(message: Message): { role: 'user' | 'assistant'; content: string }[] {
  if (message.role === 'tool' || message.content === '') return [];
  const isCut = message.role === 'assistant' && message.state === 'interrupted';
  return [{ role: message.role, content: isCut ? `${message.content} [interrupted]` : message.content }];
}
