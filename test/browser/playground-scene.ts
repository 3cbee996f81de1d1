// A talk to take pictures of: a bakery that speaks with a model, all of the server's own but the
// model's words and their pace.

import { setTimeout as sleep } from 'node:timers/promises';

import type { Agent } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import type { JsonObject } from '../../src/base/json.ts';
import type { ChatModel } from '../../src/models/model.ts';
import { tool } from '../../src/tools/tool.ts';
import { deferred } from '../fixtures/app.ts';
import type { FakeVoice } from './fake-voice.ts';
import type { Playground } from './playground-stage.ts';

const WELCOME = 'Good morning, this is Sunrise Bakery! What can I get for you?';

/** What the model writes. */
interface Line {
  readonly firstTokenMs: number;
  readonly wordMs: number;
  readonly words: string;
}

/**
 * By the caller's words. `args`: the tool is called first, and the words come when its result is
 * there.
 */
const SCRIPT: Readonly<
  Record<string, Line & { readonly call?: string; readonly args?: JsonObject }>
> = {
  'Any croissants left?': {
    call: 'list_menu',
    args: { category: 'pastries' },
    firstTokenMs: 210,
    wordMs: 24,
    words: 'Yes: butter croissants at three seventy-five, and almond ones at four seventy-five.',
  },
  'How are they made?': {
    firstTokenMs: 260,
    wordMs: 55,
    words:
      'The almond ones are baked twice. First as a plain croissant, early in the morning; then we cut it open, fill it with almond cream, ' +
      'scatter flaked almonds on top, and bake it once more until the cream has set and the edges are crisp and dark.',
  },
  'Two please, for Ada': {
    call: 'make_order',
    args: { name: 'Ada', items: [{ id: 'almond-croissant', quantity: 2 }] },
    firstTokenMs: 230,
    wordMs: 26,
    words:
      'That is two almond croissants for Ada, nine dollars and fifty cents. They will be ready in ten minutes.',
  },
  'When do you close?': {
    firstTokenMs: 240,
    wordMs: 30,
    words: 'At three in the afternoon. We are open from Tuesday to Sunday, and',
  },
};

export interface Bakery {
  readonly agent: Agent;
  /** Lets the last reply go on. */
  readonly release: () => void;
}

export function openBakery(): Bakery {
  const last = deferred();
  const spoken = defineAgent({
    name: 'bakery',
    welcome: WELCOME,
    prompt: 'You answer the phone at Sunrise Bakery.',
    tools: [
      tool({
        name: 'list_menu',
        description: 'The menu.',
        parameters: { type: 'object', properties: { category: { type: 'string' } } },
        run: () => [
          { id: 'butter-croissant', name: 'Butter Croissant', price: 375, currency: 'USD' },
          { id: 'almond-croissant', name: 'Almond Croissant', price: 475, currency: 'USD' },
        ],
      }),
      tool({
        name: 'make_order',
        description: 'Places an order.',
        parameters: {
          type: 'object',
          properties: {
            name: { type: 'string' },
            items: { type: 'array', items: { type: 'object' } },
          },
        },
        run: ({ name, items }) => ({
          order_number: 1,
          name: name ?? '',
          items: items ?? [],
          total: 950,
          currency: 'USD',
        }),
      }),
    ],
  });
  const model = scriptedModel(last.promise);
  return {
    agent: {
      ...spoken,
      bind: (resources) => ({
        ...spoken,
        ...spoken.bind?.({ ...resources, openModel: () => model }),
      }),
    },
    release: last.resolve,
  };
}

/** Its last reply stands still until `last`. */
function scriptedModel(last: Promise<void>): ChatModel {
  return {
    name: 'scripted:model',
    async *stream(messages, { signal }) {
      const asked = messages.findLast(({ role }) => role === 'user')?.content ?? '';
      const line = SCRIPT[asked];
      if (line === undefined) {
        throw new Error(`the script has no answer to ${JSON.stringify(asked)}`);
      }
      const startedAtMs = performance.now();
      try {
        await sleep(line.firstTokenMs, undefined, { signal });
        const firstDeltaMs = performance.now() - startedAtMs;
        if (line.call !== undefined && messages.at(-1)?.role === 'user') {
          yield {
            type: 'toolCall',
            call: { id: 'call_1', name: line.call, args: JSON.stringify(line.args) },
          };
        } else {
          for (const word of line.words.split(/(?<= )/)) {
            yield { type: 'text', text: word };
            await sleep(line.wordMs, undefined, { signal });
          }
          if (line === Object.values(SCRIPT).at(-1)) await last;
        }
        yield {
          type: 'usage',
          model: 'scripted:model',
          inputTokens: undefined,
          outputTokens: undefined,
          firstDeltaMs,
        };
      } catch (error) {
        if (!signal.aborted) throw error; // an aborted stream returns, it does not throw
      }
    },
    warm: () => Promise.resolve(),
    problems: () => [],
    isUsable: () => true,
  };
}

/**
 * Plays it up to the middle of the last reply: a tool and its data, an interruption, an order, a
 * delivery that comes twice.
 */
export async function playScene(page: Playground, voice: FakeVoice): Promise<void> {
  const [menu = '', making = '', order = '', hours = ''] = Object.keys(SCRIPT);
  await page.say(menu);
  await page.shows('turns', [`2 ${menu}: completed`]);
  await voice.endAll();
  await page.say(making);
  await page.shows('transcript', [/^Agent: The almond ones/]);
  await page.hearSomeWords();
  await page.say(order);
  await page.shows('turns', [`3 ${making}: interrupted`, `4 ${order}: completed`]);
  await voice.endAll();
  await page.press('redeliver');
  await page.shows('turns', [`5 again: ${order}: replayed`]);
  await page.press('say'); // the pointer leaves the button
  await page.say(hours);
  await page.shows('transcript', [`Agent: ${SCRIPT[hours]?.words} <streaming>`]);
}
