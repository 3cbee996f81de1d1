// One caller in a deploy test: says its words, hears the replies, interrupts some of them, and has
// some turns delivered twice. Writes down what was said and heard.

import { setTimeout as sleep } from 'node:timers/promises';

import { createTestClient, type TestClient, type TestReply } from '../../src/kit/test-client.ts';
import { isToolTurn, replyTo, WELCOME } from './agent-words.ts';

/** A turn as its caller saw it. */
export interface SeenTurn {
  readonly turnId: string;
  /** Undefined: the call begins. */
  readonly words: string | undefined;
  /** The whole reply. */
  readonly expected: string;
  /** What was heard of the reply. */
  readonly heard: string;
  /** From the request to the first word; undefined if no word came. */
  readonly firstWordMs: number | undefined;
  readonly end: TurnEnd;
  readonly usesTool: boolean;
}

/**
 * `whole`: all of the reply was heard. `interrupted`: its caller interrupted it. `failed`: it broke
 * off, or no reply came; `failure` says how.
 */
export type TurnEnd =
  | { readonly kind: 'whole' | 'interrupted' }
  | { readonly kind: 'failed'; readonly failure: string };

export interface SeenCall {
  readonly conversationId: string;
  readonly turns: readonly SeenTurn[];
}

export interface CallPlan {
  readonly number: number;
  /** The number of the caller's turns after the welcome. */
  readonly turns: number;
  /** Returns numbers between 0 and 1. */
  readonly random: () => number;
  /** A turn that takes longer has failed. */
  readonly patienceMs: number;
}

/** What one delivery of a turn brought. */
interface Heard {
  readonly text: string;
  readonly firstWordMs: number | undefined;
  readonly end: 'response.end' | 'dropped' | string;
}

/** Between the end of a reply and the caller's next words. */
const PAUSE_MS = [700, 1_900] as const;
/** The time until a turn is delivered again, mostly while it is still being spoken. */
const AGAIN_MS = [0, 400] as const;
/** The shares of turns that the caller interrupts, and that are delivered twice. */
const INTERRUPTED = 0.12;
const TWICE = 0.08;

export async function playCall(origin: string, secret: string, plan: CallPlan): Promise<SeenCall> {
  return new Call(createTestClient(origin, { secret }), plan).play();
}

class Call {
  readonly #client: TestClient;
  readonly #plan: CallPlan;
  /** What the next message says about an interruption. */
  #context: object | undefined;

  constructor(client: TestClient, plan: CallPlan) {
    this.#client = client;
    this.#plan = plan;
  }

  async play(): Promise<SeenCall> {
    const { number, turns } = this.#plan;
    const seen = [await this.#turn(`${number}-0`, undefined)];
    for (let turn = 1; turn <= turns; turn++) {
      await sleep(this.#between(PAUSE_MS));
      const topic = this.#plan.random() < 0.2 ? 'count' : 'talk';
      seen.push(await this.#turn(`${number}-${turn}`, `${topic} ${number} ${turn}`));
    }
    return { conversationId: this.#client.conversationId, turns: seen };
  }

  #between([least, most]: readonly [number, number]): number {
    return least + this.#plan.random() * (most - least);
  }

  async #turn(turnId: string, words: string | undefined): Promise<SeenTurn> {
    const { random } = this.#plan;
    const expected = words === undefined ? WELCOME : replyTo(words);
    const event = {
      type: words === undefined ? 'session.start' : 'message',
      session_id: `s-${this.#plan.number}`,
      conversation_id: this.#client.conversationId,
      turn_id: turnId,
      ...(words === undefined ? {} : { text: words }),
      ...(this.#context === undefined ? {} : { interruption_context: this.#context }),
    };
    this.#context = undefined;
    const isInterrupted = words !== undefined && random() < INTERRUPTED;
    const isTwice = words !== undefined && !isInterrupted && random() < TWICE;
    const deliveries = [this.#deliver(event, isInterrupted ? 3 : undefined)];
    if (isTwice)
      deliveries.push(sleep(this.#between(AGAIN_MS)).then(() => this.#deliver(event)));
    // Of two deliveries, the caller hears the one that says more.
    const heard = (await Promise.all(deliveries)).reduce((first, second) =>
      first.text.length > second.text.length ? first : second);
    if (heard.end === 'dropped') {
      this.#context = {
        previous_turn_interrupted: true,
        words_heard: heard.text.trim().split(' ').length,
        text_heard: heard.text.trim(),
        assistant_turn_id: turnId,
      };
    }
    const { text, firstWordMs } = heard;
    const usesTool = words !== undefined && isToolTurn(words);
    return {
      ...{ turnId, words, expected, heard: text, firstWordMs, usesTool },
      end: endOf(heard, expected),
    };
  }

  /** Never rejects: a failure is heard as silence. */
  async #deliver(event: object, dropsAfterEvents = Infinity): Promise<Heard> {
    const began = performance.now();
    let text = '';
    let firstWordMs: number | undefined;
    let reply: TestReply | undefined;
    let isLate = false;
    const { promise: late, clear } = timeOut(this.#plan.patienceMs, () => {
      isLate = true;
      reply?.drop();
    });
    const tooLate = `nothing for ${this.#plan.patienceMs} ms`;
    try {
      const posting = this.#client.post(event);
      // Before the headers there is no reply to drop: the request is abandoned.
      reply = await Promise.race([posting, late]);
      if (reply === undefined) {
        posting.then((answer) => answer.drop(), () => undefined);
        return { text, firstWordMs, end: tooLate };
      }
      if (reply.status !== 200) {
        reply.drop();
        return { text, firstWordMs, end: `status ${reply.status}` };
      }
      let pieces = 0;
      let isEnded = false;
      for await (const { type, content } of reply) {
        if (type === 'response.end') isEnded = true;
        if (type !== 'response.tts') continue;
        firstWordMs ??= performance.now() - began;
        text += String(content);
        if (++pieces < dropsAfterEvents) continue;
        reply.drop();
        return { text, firstWordMs, end: 'dropped' };
      }
      return { text, firstWordMs, end: isEnded ? 'response.end' : 'no response.end' };
    } catch (error) {
      const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      return { text, firstWordMs, end: isLate ? tooLate : reason };
    } finally {
      clear();
    }
  }
}

interface TimeOut {
  readonly promise: Promise<undefined>;
  /** Nothing happens afterwards. */
  readonly clear: () => void;
}

function timeOut(ms: number, fire: () => void): TimeOut {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      fire();
      resolve(undefined);
    }, ms);
  });
  return { promise, clear: () => clearTimeout(timer) };
}

function endOf({ text, end }: Heard, expected: string): TurnEnd {
  if (end === 'dropped') return { kind: 'interrupted' };
  if (end !== 'response.end') return { kind: 'failed', failure: end };
  if (text === expected) return { kind: 'whole' };
  return { kind: 'failed', failure: `heard ${JSON.stringify(text)}` };
}
