// The text mode of https://github.com/svilupp/layercode-gym, a client in Python that tests voice
// agents, acted out here: how it asks for a key and how it takes its turns are those of its
// `LayercodeClient`, with its own times on a clock that stands still between the steps.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../../src/agents/agent.ts';
import { defineAgent } from '../../../src/agents/define-agent.ts';
import type { ServerFrame } from '../../../src/kit/platform/frames.ts';
import { LocalPlatform } from '../../../src/kit/platform/local-platform.ts';
import type { MessageEvent, SessionEndEvent } from '../../../src/wires/layercode/events.ts';
import { Told, within } from '../../fixtures/app.ts';
import { deferred, serve, type Served } from '../../fixtures/kernel.ts';
import { Browser, connect } from './browser.ts';

/** Without a sound for that long, it takes the agent to have finished. Text is no sound to it. */
const IDLE_MS = 3_000;
/** Between that and its own words. */
const PLAYBACK_MS = 400;

/** The longest that a timer can wait. */
const NEVER_MS = 2 ** 31 - 1;

/** Time passes when it is told to. */
class Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly fire: () => void }>();

  /** Returns what takes the timer back. */
  after(ms: number, fire: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers]
        .filter(({ atMs }) => atMs <= endMs)
        .sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.fire();
    }
    this.#nowMs = endMs;
  }
}

class Gym {
  readonly clock = new Clock();
  /** What it took each turn of the agent to have been. */
  readonly heard: string[] = [];
  readonly #browser: Browser;
  readonly #script: string[];
  #text = '';
  #turnId: string | undefined;
  #cancel: () => void = () => undefined;

  private constructor(browser: Browser, script: readonly string[]) {
    this.#browser = browser;
    this.#script = [...script];
  }

  /** Asks for a key, opens the socket and is ready. */
  static async open(
    t: TestContext,
    origin: string,
    script: readonly string[],
    fields: Readonly<Record<string, unknown>> = {},
  ): Promise<Gym> {
    const response = await fetch(`${origin}/api/authorize`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ agent_id: 'ag-1', ...fields }),
      signal: AbortSignal.timeout(10_000),
    });
    assert.ok(response.ok, String(response.status));
    const { client_session_key, conversation_id } = (await response.json()) as Record<
      string,
      unknown
    >;
    assert.ok(typeof conversation_id === 'string' && conversation_id !== '');
    // The key as it is, without percent-encoding.
    const browser = await connect(origin, `client_session_key=${String(client_session_key)}`);
    assert.ok(browser instanceof Browser, JSON.stringify(browser));
    t.after(() => browser.destroy());
    browser.send({ type: 'client.ready' });
    return new Gym(browser, script);
  }

  get closed(): Promise<number> {
    return within(this.#browser.closed, "the end of the gym's conversation");
  }

  /** Takes in what comes, up to the next frame of that type. */
  async receive(type: ServerFrame['type']): Promise<void> {
    for (;;) {
      const frame = await this.#browser.frames.next(`a frame ${type}`);
      this.#take(frame);
      if (frame.type === type) return;
    }
  }

  #take(frame: ServerFrame): void {
    switch (frame.type) {
      case 'turn.start':
        if (frame.role === 'assistant') this.#awaitSilence();
        return;
      case 'response.audio':
        this.#turnId ??= frame.turn_id;
        this.#awaitSilence();
        return;
      case 'response.text':
        this.#turnId ??= frame.turn_id;
        this.#text += frame.content;
    }
  }

  #awaitSilence(): void {
    this.#cancel();
    this.#cancel = this.clock.after(IDLE_MS, () => this.#takeTurn());
  }

  #takeTurn(): void {
    if (this.#text.trim() === '') return; // and waits, if need be for ever
    const words = this.#script.shift();
    if (words === undefined) {
      this.heard.push(this.#text);
      this.#browser.close();
      return;
    }
    const turnId = this.#turnId;
    this.clock.after(PLAYBACK_MS, () => {
      this.#browser.send({
        type: 'trigger.response.audio.replay_finished',
        turn_id: turnId,
        reason: 'completed',
      });
      this.#turnId = undefined;
      this.#browser.send({ type: 'client.response.text', content: words });
      this.heard.push(this.#text);
      this.#text = '';
    });
  }
}

interface Stage extends Served {
  readonly posted: MessageEvent[];
  readonly ends: Told<SessionEndEvent>;
}

async function stage(
  t: TestContext,
  { onMessage = () => 'Yes.', ...agent }: Partial<Agent> & { readonly welcome?: string },
): Promise<Stage> {
  const posted: MessageEvent[] = [];
  const ends = new Told<SessionEndEvent>();
  const served = await serve(t, {
    platform: new LocalPlatform({ playground: false }),
    agent: defineAgent({
      name: 'tested',
      onSessionEnd: ({ event }) => ends.tell(event as SessionEndEvent),
      ...agent,
      onMessage(turn, reply) {
        posted.push(turn.event as MessageEvent);
        return onMessage(turn, reply);
      },
    }),
  });
  return { ...served, posted, ends };
}

/**
 * Takes hold of the platform's sound that is none, once a second. Returns what lets a second pass
 * there.
 */
function holdSound(t: TestContext): () => void {
  const { setInterval } = globalThis;
  const held: (() => void)[] = [];
  // Not the timers of node:test: they would hold every interval, and this is about one.
  t.mock.method(globalThis, 'setInterval', (run: () => void, ms?: number) => {
    if (ms !== 1_000) return setInterval(run, ms);
    held.push(run);
    return setInterval(() => undefined, NEVER_MS);
  });
  return () => held.forEach((run) => run());
}

/**
 * From welcome to close, with an agent that speaks for five seconds and then thinks for five:
 * longer than the gym waits for either.
 */
async function converse(t: TestContext): Promise<Stage & { readonly gym: Gym }> {
  const passSecond = holdSound(t);
  const spoken = deferred();
  const thought = deferred();
  const staged = await stage(t, {
    welcome: 'Hello!',
    async *onMessage({ text }, reply) {
      if (text === 'Any tents?') {
        yield 'Let me see. ';
        await spoken.promise;
        yield 'There are two.';
      } else {
        reply.data({ progress: 0 });
        await thought.promise;
        yield 'They are green.';
      }
    },
  });
  const gym = await Gym.open(t, staged.origin, ['Any tents?', 'Which colour?']);
  await gym.receive('response.text');
  gym.clock.pass(IDLE_MS + PLAYBACK_MS);

  await gym.receive('response.text.delta');
  for (let seconds = 0; seconds < 5; seconds++) {
    gym.clock.pass(1_000);
    passSecond();
    await gym.receive('response.audio');
  }
  spoken.resolve();
  await gym.receive('response.text');
  gym.clock.pass(IDLE_MS + PLAYBACK_MS);

  await gym.receive('response.data'); // the agent is at work
  gym.clock.pass(5_000);
  thought.resolve();
  await gym.receive('response.text');
  gym.clock.pass(IDLE_MS);
  await gym.closed;
  return { ...staged, gym };
}

describe('layercode-gym on the local WebSocket', () => {
  it('waits for the end of replies that take longer than its patience', async (t) => {
    const { gym } = await converse(t);
    assert.deepEqual(gym.heard, ['Hello!', 'Let me see. There are two.', 'They are green.']);
  });

  it('interrupts nothing', async (t) => {
    const { posted } = await converse(t);
    assert.deepEqual(
      posted.map(({ text }) => text),
      ['Any tents?', 'Which colour?'],
    );
    assert.deepEqual(
      posted.map(({ interruption_context }) => interruption_context),
      [undefined, undefined],
    );
  });

  it('ends the session by its close', async (t) => {
    const { ends } = await converse(t);
    const { transcript } = await ends.next('session.end');
    // Of the last reply there is what a voice would have spoken by now, as nobody said that it was
    // played.
    assert.deepEqual(
      (transcript ?? []).slice(0, 4).map(({ role, text }) => [role, text]),
      [
        ['assistant', 'Hello!'],
        ['user', 'Any tents?'],
        ['assistant', 'Let me see. There are two.'],
        ['user', 'Which colour?'],
      ],
    );
  });

  it('is welcomed in a conversation that it resumes', async (t) => {
    const { origin } = await stage(t, { welcome: 'Hello!' });
    for (const welcome of ['Hello!', 'Welcome back.']) {
      const gym = await Gym.open(t, origin, [], { conversation_id: 'conv-1' });
      await gym.receive('response.text');
      gym.clock.pass(IDLE_MS);
      await gym.closed;
      assert.deepEqual(gym.heard, [welcome]);
    }
  });

  it('hands its custom metadata and headers to the agent', async (t) => {
    const { origin } = await stage(t, {
      onSessionStart: ({ metadata, headers }) =>
        `${String(metadata['plan'])}, ${String(headers['x-tenant'])}`,
    });
    const gym = await Gym.open(t, origin, [], {
      custom_metadata: { plan: 'free' },
      custom_headers: { 'X-Tenant': 'acme' },
    });
    await gym.receive('response.text');
    gym.clock.pass(IDLE_MS);
    assert.deepEqual(gym.heard, ['free, acme']);
  });
});
