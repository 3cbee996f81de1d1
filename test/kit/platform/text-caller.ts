import type { TestContext } from 'node:test';

import type { JsonObject } from '../../../src/base/json.ts';
import type { MessageEvent } from '../../../src/core/wires/layercode/events.ts';
import {
  CallerSession, type CallerSessionOptions,
} from '../../../src/kit/platform/caller-session.ts';
import type { ServerFrame } from '../../../src/kit/platform/frames.ts';
import { frontEnd, type FrontEndOptions } from '../../../src/kit/platform/front-end.ts';
import { layercodeTestWire } from '../../../src/kit/platform/layercode-test-wire.ts';
import type { TestWire } from '../../../src/kit/platform/test-wire.ts';
import { deferred, SECRET, serve, Told, type Served, type TestAgent } from '../../fixtures/app.ts';

export const AT_ONCE = 60_000_000; // words a minute
export const NEVER = 0.001;

export type CallerOptions = Partial<CallerSessionOptions & Pick<FrontEndOptions, 'onFrame'>>;

/** A session whose methods resolve once what they post has been answered. */
function waiting(session: CallerSession) {
  return {
    start: () => session.start().over(),
    say: (text: string) => session.say(text).over(),
    data: (data: JsonObject) => session.data(data).over(),
    end: () => session.end().over(),
    redeliver: () => session.redeliver(),
    forge: (forgery: 'wrong' | 'stale') => session.forge(forgery),
    interrupt: () => session.interrupt(),
    drop: () => session.drop(),
    finishPlaying: (turnId?: string) => session.finishPlaying(turnId),
    abandon: () => session.abandon(),
  };
}

interface Caller {
  readonly session: ReturnType<typeof waiting>;
  /** The frames that the front end got. */
  readonly frames: Told<ServerFrame>;
  readonly hangUps: Told<void>;
  /** The next frame of this type. */
  next<T extends ServerFrame['type']>(type: T): Promise<ServerFrame & { readonly type: T }>;
}

/** A caller at a front end, over LayerCode's wire unless another one is given. */
export function createCaller(
  url: string,
  { onFrame, isTraced = false, wire = layercode(), ...options }: CallerOptions & {
    readonly isTraced?: boolean;
    readonly wire?: TestWire;
  } = {},
): Caller {
  const frames = new Told<ServerFrame>();
  const hangUps = new Told<void>();
  const listener = frontEnd({
    onFrame: onFrame ?? frames.tell, onHangUp: hangUps.tell, isTraced,
  });
  const session = new CallerSession({
    url: () => url, wire, wordsPerMinute: AT_ONCE, listener, ...options });
  return {
    session: waiting(session),
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

function layercode(): TestWire {
  return layercodeTestWire({ secret: SECRET, conversationId: 'conv-1', agentId: 'ag-1' });
}

export interface Call extends Caller, Served {
  /** The messages that the agent got. */
  readonly posted: MessageEvent[];
}

/** A caller of a served agent. */
export async function call(
  t: TestContext,
  agent: TestAgent,
  options: Parameters<typeof createCaller>[1] = {},
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
