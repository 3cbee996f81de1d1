import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { getAgent } from '../../../../src/core/agents/built-in/registry.ts';
import { says } from '../../../faults/model-server.ts';
import { promptOf, serveModel, spoken, toolNames, toolsOf } from '../model-app.ts';

/** Agent, what it says first, its prompt's file, its tools. */
const AGENTS = [
  ['starter', 'Hi there! How can I help you today?', 'starter', ['hang_up']],
  [
    'bakery',
    'Good morning, this is Sunrise Bakery! What can I get for you?',
    'bakery',
    ['list_menu', 'make_order', 'book_table', 'hang_up'],
  ],
  [
    'outdoor_shop',
    'Hello, this is Thimble Ridge Outfitters. What can I do for you?',
    'outdoor-shop',
    ['search_products', 'lookup_order', 'get_policy', 'hang_up'],
  ],
] as const;

for (const [name, welcome, file, tools] of AGENTS) {
  describe(name, () => {
    const prompt = readFileSync(
      new URL(`../../../../assets/prompts/${file}.txt`, import.meta.url),
      'utf8',
    );

    it("welcomes new and returning callers, and sends its prompt file and its tools", async (t) => {
      const { client, server } = await serveModel(t, getAgent(name), [says('Yes.')]);
      const start = (): Promise<string> => spoken(client.start());
      const said = [await start(), await spoken(client.say('Hi.')), await start()];
      assert.deepEqual(said, [welcome, 'Yes.', 'Welcome back.']);
      const [system, ...others] = promptOf(server.requests[0]);
      assert.deepEqual(system, { role: 'system', content: prompt.trimEnd() });
      assert.deepEqual(others.at(-1), { role: 'user', content: 'Hi.' });
      assert.deepEqual(toolNames(server.requests[0]), tools);
    });

    it('lets tools that only read run at once where turns may be replaced', async () => {
      const offered = [...(await toolsOf(getAgent(name))).values()];
      const waiting = offered.filter(({ repeatable }) => repeatable !== true);
      const acting = tools.filter((tool) => /^(?:make|book)_/.test(tool));
      assert.deepEqual(waiting.map(({ name: tool }) => tool), acting);
    });

    it('has a prompt without the markup that its model is told not to write', () =>
      assert.doesNotMatch(prompt, /^\s*(?:[-*#]|\d+\.)\s|\*\*|`|\p{Extended_Pictographic}/mu));
  });
}
