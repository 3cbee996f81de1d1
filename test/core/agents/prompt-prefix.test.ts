// Vendors cache the beginning of a request: what was sent once must begin the next request, byte
// for byte.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { alternateRoles } from '../../../src/core/models/alternating-roles.ts';
import type { ChatMessage, ChatModel } from '../../../src/core/models/model.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { deferred, fired, Listener, within, type Deferred } from '../../fixtures/app.ts';
import { IS_LONG } from '../../fixtures/long.ts';
import { serveAgent, spoken, type ModelApp } from './model-app.ts';

/** Enough turns for history to be trimmed. */
const TURNS = IS_LONG ? 500 : 100;
const RUNNING = '{"status":"still running"}';

/** What happens in a turn. The caller says it, and the model does it. */
const PLANS = [
  'answer', // says something
  'tool', // calls a tool, and answers
  'tools', // says something, calls two tools, says more, calls a third, and answers
  'cut', // is interrupted in its words
  'cut behind', // is interrupted after a call, before it says more
  'cut later', // is interrupted in its words after a call
  'cut within', // is interrupted in a call that keeps running
  'cut unspoken', // is interrupted before it says a word
] as const;
type Plan = (typeof PLANS)[number];

const WORDS = 'So the **second** one costs $3.50, as you can see at https://shop.example/list 🥐 today. ';

/** A model that does what the caller says, and keeps what it was asked. */
class ObedientModel implements ChatModel {
  readonly name = 'obedient';
  readonly requests: ChatMessage[][] = [];

  async *stream(
    messages: Parameters<ChatModel['stream']>[0], { signal }: Parameters<ChatModel['stream']>[1],
  ): ReturnType<ChatModel['stream']> {
    this.requests.push(messages.map((message) => ({ ...message })));
    const asked = messages.findLastIndex(({ role }) => role === 'user');
    const plan = messages[asked]?.content.split('\n').at(-1)?.split(':')[0] as Plan;
    const round = messages.slice(asked).filter(({ role }) => role === 'assistant').length;
    const call = (id: string) =>
      ({ type: 'toolCall', call: { id, name: 'look', args: `{"plan":"${plan}"}` } }) as const;
    if (plan === 'cut unspoken') await fired(signal);
    else if (round === 0 && plan !== 'answer' && plan !== 'cut') {
      if (plan !== 'tool') yield { type: 'text', text: WORDS };
      yield call('call_1');
      if (plan === 'tools') yield call('call_2');
    } else if (round === 1 && plan === 'tools') {
      yield { type: 'text', text: `More: ${WORDS}` };
      yield call('call_1');
    } else if (plan === 'cut behind') await fired(signal);
    else {
      yield { type: 'text', text: WORDS };
      if (plan.startsWith('cut')) await fired(signal);
      yield { type: 'text', text: `- ${WORDS.repeat(2)}` };
    }
  }

  warm = () => Promise.resolve();
  problems = () => [];
  isUsable = () => true;
}

/** One caller, and all that the model was asked. */
class Talk {
  readonly #model = new ObedientModel();
  readonly #served: ModelApp;
  /** Tools that are still running although their turn is over. */
  readonly #late: Deferred<void>[] = [];
  #turn = 0;
  #interrupted: string | undefined;
  #random = 1;

  constructor(t: TestContext, environment: Readonly<Record<string, string>> = {}) {
    const look = tool({
      name: 'look',
      description: 'Looks.',
      parameters: { type: 'object', properties: { plan: { type: 'string' } }, required: ['plan'] },
      whenInterrupted: 'finish',
      run: async ({ plan }) => {
        if (plan === 'cut within') {
          const work = deferred();
          this.#late.push(work);
          await work.promise;
        }
        return { found: plan, details: 'x'.repeat(100) };
      },
    });
    const agent = defineAgent({
      name: 'obeying', prompt: 'Be brief. '.repeat(20), model: this.#model, tools: [look],
    });
    this.#served = serveAgent(t, agent, {}, environment);
  }

  get requests(): readonly ChatMessage[][] {
    return this.#model.requests;
  }

  random(below: number): number {
    this.#random = (this.#random * 48_271) % 2_147_483_647;
    return this.#random % below;
  }

  async turn(plan: Plan, textHeard?: string): Promise<void> {
    this.#turn += 1;
    const id = `t-${this.#turn}`;
    const context = { previous_turn_interrupted: true, assistant_turn_id: this.#interrupted };
    const reply = this.#served.client.say(`${plan}: ${this.#turn} ${'word '.repeat(10)}`, {
      turn_id: id,
      ...(this.#interrupted === undefined || textHeard === undefined
        ? {}
        : { interruption_context: { ...context, text_heard: textHeard } }),
    });
    this.#interrupted = plan.startsWith('cut') ? id : undefined;
    const isAsked = this.requests.length;
    if (!plan.startsWith('cut')) await spoken(reply);
    else if (plan === 'cut unspoken') await this.#asked(isAsked + 1);
    else {
      const listener = new Listener(await within(reply, 'the reply'));
      await listener.next();
      if (plan === 'cut behind' || plan === 'cut later') await this.#asked(isAsked + 2);
      if (plan === 'cut later') while ((await listener.next())?.type !== 'response.tts');
      if (plan === 'cut within') await this.#working();
    }
    if (this.random(2) === 0) for (const { resolve } of this.#late.splice(0)) resolve();
  }

  async #asked(count: number): Promise<void> {
    while (this.requests.length < count) await new Promise((resolve) => setImmediate(resolve));
  }

  async #working(): Promise<void> {
    while (this.#late.length === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

const textOf = (messages: readonly ChatMessage[]): string =>
  messages.map((message) => JSON.stringify(message)).join();

/** How many characters both have in common at the start. */
function commonLength(before: string, after: string): number {
  let length = 0;
  while (length < before.length && before[length] === after[length]) length += 1;
  return length;
}

/** Why a request does not begin with the whole of the previous one; undefined if it does. */
function breakOf(
  before: readonly ChatMessage[], after: readonly ChatMessage[],
): string | undefined {
  const isSame = (place: number): boolean =>
    textOf(before.slice(place, place + 1)) === textOf(after.slice(place, place + 1));
  const index = before.findIndex((_message, place) => !isSame(place));
  if (index === -1) return undefined;
  const [old, anew] = [before[index], after[index]];
  if (!isSame(1) && before.length > 3) return 'trimmed';
  if (old?.role === 'user' && anew?.content.startsWith(`${old.content}\n`)) return 'joined';
  if (old?.role === 'tool' && old.content === RUNNING) return 'late result';
  return `at ${index}: ${JSON.stringify(old)} is now ${JSON.stringify(anew)}`;
}

function breaksOf(requests: readonly ChatMessage[][]): string[] {
  return requests
    .slice(1)
    .flatMap((request, index) => breakOf(requests[index] ?? [], request) ?? []);
}

describe('a request to a model', () => {
  for (const plan of ['tools', 'cut later'] as const) {
    it(`is unchanged up to the words that the caller did not hear: ${plan}`, async (t) => {
      const talk = new Talk(t);
      await talk.turn('answer');
      await talk.turn('cut later');
      await talk.turn(plan, 'So the');
      const heard = talk.requests.find((request) =>
        request.some(({ content }) => content.startsWith('So the [interrupted]')),
      );
      assert.equal(heard, undefined, 'a mark stands behind the calls');
      const breaks = breaksOf(talk.requests);
      assert.equal(breaks.length, 1);
      assert.match(String(breaks[0]), /^at 4: .*is now .*"content":"So the","toolCalls"/);
    });
  }

  it(`is 90 % what was sent before, in ${TURNS} turns with tools and interruptions`, async (t) => {
    const talk = new Talk(t);
    for (let turn = 0; turn < TURNS; turn++)
      await talk.turn(PLANS[talk.random(PLANS.length)] ?? 'cut');
    const allowed = ['trimmed', 'joined', 'late result'];
    const breaks = breaksOf(talk.requests);
    assert.deepEqual(breaks.filter((reason) => !allowed.includes(reason)), []);
    assert.ok(breaks.includes('trimmed') && breaks.includes('late result'), breaks.join());
    for (const [what, requests] of [
      ['of the vendors of models', talk.requests],
      ['of servers of open models', talk.requests.map(alternateRoles)],
    ] as const) {
      const texts = requests.map(textOf);
      let sent = 0;
      let unchanged = 0;
      for (const [index, text] of texts.entries()) {
        sent += text.length;
        unchanged += commonLength(texts[index - 1] ?? '', text);
      }
      assert.ok(unchanged / sent >= 0.9, `${what}: ${unchanged / sent}`);
    }
  });
});
