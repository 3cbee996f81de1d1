// An agent on Hono with LayerCode's SDK and the `ai` package, as the pages of both show it.
import { createOpenAI } from '@ai-sdk/openai';
import { streamResponse } from '@layercode/node-server-sdk';
import { stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { serveOnHono } from './hono-app.mjs';
import { MODEL, PROMPT, TOOLS } from './model-turn.mjs';

/** As many messages as the server keeps. */
const MAX_MESSAGES = Number(process.env.MAX_MESSAGES);

const openai = createOpenAI({ apiKey: process.env.OPENAI_API_KEY });
const tools = Object.fromEntries(
  TOOLS.map(({ name, description }) => [
    name,
    tool({ description, inputSchema: z.object({ query: z.string() }), execute: () => null }),
  ]),
);
const conversations = new Map();

serveOnHono((event) => {
  const id = event.conversation_id;
  const messages = [...(conversations.get(id) ?? []), { role: 'user', content: event.text }];
  conversations.set(id, messages);
  return streamResponse(event, async ({ stream }) => {
    const { textStream } = streamText({
      model: openai.chat(MODEL),
      system: PROMPT,
      messages,
      tools,
      stopWhen: stepCountIs(8),
      onFinish: ({ response }) => {
        conversations.set(id, [...messages, ...response.messages].slice(-MAX_MESSAGES));
      },
    });
    await stream.ttsTextStream(textStream);
    stream.end();
  });
});
