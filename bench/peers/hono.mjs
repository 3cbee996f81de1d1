// An echo agent on Hono with LayerCode's SDK.
import { streamResponse } from '@layercode/node-server-sdk';
import { serveOnHono } from './hono-app.mjs';

serveOnHono((event) =>
  streamResponse(event, ({ stream }) => {
    stream.tts(`You said: ${event.text}`);
    stream.end();
  }),
);
