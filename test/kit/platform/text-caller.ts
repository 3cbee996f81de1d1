import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

import type { ServerFrame } from '../../../src/kit/platform/frames.ts';
import { TextSession, type TextSessionOptions } from '../../../src/kit/platform/text-session.ts';
import type { MessageEvent } from '../../../src/wires/layercode/events.ts';
import { deferred, SECRET, serve, Told, type Served, type TestAgent } from '../../fixtures/app.ts';

export const AT_ONCE = 60_000_000; // words a minute
export const NEVER = 0.001;
export const GRANT = {
  agentId: 'ag-1',
  conversationId: 'conv-1',
  metadata: undefined,
  customMetadata: undefined,
  customHeaders: {},
};

interface Caller {
  readonly session: TextSession;
  readonly frames: Told<ServerFrame>;
  readonly hangUps: Told<void>;
  /** The next frame of that type. */
  next<T extends ServerFrame['type']>(type: T): Promise<ServerFrame & { readonly type: T }>;
}

export function createCaller(
  webhookUrl: string,
  options: Partial<TextSessionOptions> = {},
): Caller {
  const frames = new Told<ServerFrame>();
  const hangUps = new Told<void>();
  const session = new TextSession({
    grant: GRANT,
    webhookUrl,
    secret: SECRET,
    wordsPerMinute: AT_ONCE,
    onFrame: frames.tell,
    onHangUp: hangUps.tell,
    ...options,
  });
  return {
    session,
    frames,
    hangUps,
    async next(type) {
      for (;;) {
        const frame = await frames.next(`a frame ${type}`);
        if (frame.type === type) return frame as ServerFrame & { readonly type: typeof type };
      }
    },
  };
}

interface Call extends Caller, Served {
  /** The messages that the agent got. */
  readonly posted: MessageEvent[];
}

/** A caller of an agent that is served. */
export async function call(
  t: TestContext,
  agent: TestAgent,
  options: Partial<TextSessionOptions> = {},
): Promise<Call> {
  const posted: MessageEvent[] = [];
  const { onMessage } = agent;
  const served = serve(t, {
    ...agent,
    onMessage: (turn, reply) => {
      posted.push(turn.event as MessageEvent);
      return onMessage === undefined ? 'Yes.' : onMessage(turn, reply);
    },
  });
  return {
    ...served,
    posted,
    ...createCaller(`${await served.client.origin()}/api/agent`, options),
  };
}

/** A webhook that answers as the test says. */
export async function startWebhook(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/agent`;
}

export function shapes(frames: readonly ServerFrame[]): unknown[] {
  return frames.map((frame) => {
    if (frame.type === 'turn.start' || frame.type === 'turn.end')
      return `${frame.type} ${frame.role}`;
    return 'content' in frame ? `${frame.type} ${JSON.stringify(frame.content)}` : frame.type;
  });
}

/** Says a piece, and the rest when the test lets it. */
export function inTwoParts(first = 'One two ', second = 'three.') {
  const gate = deferred();
  return {
    gate,
    onMessage: async function* () {
      yield first;
      await gate.promise;
      yield second;
    },
  };
}
