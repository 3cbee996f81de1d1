// A talk to take pictures of: a bakery that speaks with a model. Everything is the server's own but
// the model's words and their pace.

import assert from 'node:assert/strict';

import type { JsonObject } from '../../src/base/json.ts';
import type { Agent } from '../../src/core/agents/agent.ts';
import { defineAgent } from '../../src/core/agents/define-agent.ts';
import { withModel } from '../../src/core/agents/with-model.ts';
import { tool } from '../../src/core/tools/tool.ts';
import type { ScriptedAnswer } from '../../src/kit/scripted-answer.ts';
import { scriptedModel, type ScriptedRequest } from '../../src/kit/scripted-model.ts';
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
 * Keyed by the caller's words. `args`: the tool is called first, and the words follow its result.
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

/** The bakery's last reply does not end. */
export function openBakery(): Agent {
  const bakery = defineAgent({
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
  return withModel(bakery, scriptedModel(answer));
}

function answer({ messages }: ScriptedRequest): ScriptedAnswer {
  const asked = messages.findLast(({ role }) => role === 'user')?.content ?? '';
  const line = SCRIPT[asked] ?? assert.fail(`the script has no answer to ${asked}`);
  const { firstTokenMs, wordMs, words, call, args } = line;
  const wait = { waitMs: firstTokenMs };
  if (call !== undefined && messages.at(-1)?.role === 'user')
    return [wait, { call, args: args ?? {} }];
  const spoken = words.split(/(?<= )/).flatMap((word) => [word, { waitMs: wordMs }]);
  const isLast = line === Object.values(SCRIPT).at(-1);
  return [wait, ...spoken, { waitMs: isLast ? 600_000 : 0 }];
}

/**
 * Plays the talk up to the middle of the last reply: a tool and its data, an interruption, an
 * order, a repeated delivery.
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
