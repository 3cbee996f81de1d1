// Tool calls of turns that the platform has replaced: what was done once is not done again.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../../src/core/agents/with-model.ts';
import { defineState } from '../../../../src/core/state/state.ts';
import { handOver } from '../../../../src/core/tools/tool-hand-over.ts';
import { tool, type Tool } from '../../../../src/core/tools/tool.ts';
import { scriptedModel, type Script } from '../../../../src/kit/scripted-model.ts';
import { KEY, modelAgent, serveCompletions, serveWith } from '../../../fixtures/completions.ts';

/** A tool with effects, and what it has done. */
function booking(): { readonly tools: readonly Tool[]; readonly booked: string[] } {
  const booked: string[] = [];
  const book = tool({
    name: 'book',
    description: 'Books a table.',
    parameters: { type: 'object', properties: { table: { type: 'number' } }, required: ['table'] },
    run: ({ table }) => {
      booked.push(`table ${table}`);
      return 'booked';
    },
  });
  return { tools: [book], booked };
}

const NOTHING = { type: 'object', properties: {} } as const;

function book(table: number): { readonly call: string; readonly args: object } {
  return { call: 'book', args: { table } };
}

describe('a turn that joins the words of two earlier ones', () => {
  for (const [what, script, done] of [
    [
      'gets the tool results of the second turn',
      ['For how many?', book(4), 'Booked.', book(4), 'Booked.'], ['table 4'],
    ],
    [
      'gets the tool results of both turns',
      [book(2), 'And?', book(4), 'Booked.', [book(2), book(4)], 'Booked.'], ['table 2', 'table 4'],
    ],
    [
      'gets the result of each call once',
      [book(4), 'And?', book(4), 'Booked.', [book(4), book(4)], 'Booked.'], ['table 4', 'table 4'],
    ],
    [
      'makes a call that neither turn has made',
      ['For how many?', book(4), 'Booked.', book(5), 'Booked.'], ['table 4', 'table 5'],
    ],
  ] as const)
    /** "I want a table", "for four", and both in one. */
    it(what, async (t) => {
      const { tools, booked } = booking();
      const { platform } = serveCompletions(t, modelAgent(script, { tools }));
      await platform.hear(['user: I want a table']);
      await platform.hear(['user: I want a table', 'user: for four']);
      await platform.hear(['user: I want a table for four']);
      assert.deepEqual(booked, done);
    });
});

describe('turns with the same call that are discarded one after another', () => {
  it('show the model only once what was done', async (t) => {
    const { tools, booked } = booking();
    const model = scriptedModel([book(4), 'Booked.', book(4), 'Booked.', 'It is booked.']);
    const { platform } = serveCompletions(t, withModel(
      defineAgent({ name: 'once', prompt: 'Be brief.', tools }), model,
    ));
    for (const words of ['Book', 'Book it', 'Book it please'])
      await platform.hear([`user: ${words}`]);
    const results = model.requests.at(-1)?.messages.filter(({ role }) => role === 'tool') ?? [];
    assert.deepEqual(booked, ['table 4']);
    assert.deepEqual(results.map(({ content }) => content), ['"booked"']);
  });
});

// A tool with `once` may be repeatable too, where the bank honours keys. Its booking was forgotten.
describe('a replaced turn in which a tool with once has acted', () => {
  for (const repeatable of [false, true])
    it(`keeps its result and its change of the state, repeatable: ${repeatable}`, async (t) => {
      const shop = defineState(() => ({ booked: [] as number[] }));
      const reserve = tool({
        name: 'book', description: 'Books a table.', state: shop, repeatable,
        parameters: {
          type: 'object', properties: { table: { type: 'number' } }, required: ['table'],
        },
        once: ({ table }) => `table ${table}`,
        run: ({ table }, { state }) => {
          state.booked.push(table);
          return 'booked';
        },
      });
      const model = scriptedModel([book(4), 'Booked.', 'You have a booking.']);
      const states: unknown[] = [];
      const { platform } = serveCompletions(t, withModel(defineAgent({
        name: 'host', state: shop, tools: [reserve],
        prompt: ({ state }) => {
          states.push(structuredClone(state.booked));
          return 'Be brief.';
        },
      }), model));
      await platform.hear(['user: Table four']);
      await platform.hear(['user: Table four please']);
      const results = model.requests.at(-1)?.messages.filter(({ role }) => role === 'tool') ?? [];
      assert.deepEqual(results.map(({ content }) => content), ['"booked"']);
      assert.deepEqual(states, [[], [4]]);
    });
});

describe('a discarded turn that comes back', () => {
  it('is answered again, and does nothing twice', async (t) => {
    const { tools, booked } = booking();
    const script = [book(4), 'Four.', book(5), 'Five.', book(4), 'Four again.'];
    const { platform } = serveCompletions(t, modelAgent(script, { tools }));
    const replies = [];
    for (const words of ['Book four', 'Book five', 'Book four'])
      replies.push(await platform.hear([`user: ${words}`]));
    assert.deepEqual(replies, ['Four.', 'Five.', 'Four again.']);
    assert.deepEqual(booked, ['table 4', 'table 5']);
  });
});

describe('a replaced turn that has done something and then handed over', () => {
  it('does not let the other agent do it again', async (t) => {
    const { tools, booked } = booking();
    const transfer = tool({
      name: 'transfer', description: 'Hands over.', parameters: NOTHING,
      run: () => handOver('billing'),
    });
    const agentWith = (script: Script): ReturnType<typeof defineAgent> => defineAgent({
      name: 'one', prompt: 'Be brief.', tools: [...tools, transfer], model: scriptedModel(script),
    });
    const agents = {
      sales: agentWith([book(4), { call: 'transfer' }]),
      billing: agentWith(['Billing here.', book(4), 'It is booked.']),
    };
    const { platform } = serveWith(t, agents, { CHAT_COMPLETIONS_KEYS: KEY, SETTLE_MS: '0' });
    assert.equal(await platform.hear(['user: Book']), 'Billing here.');
    assert.equal(await platform.hear(['user: Book it']), 'It is booked.');
    assert.deepEqual(booked, ['table 4']);
  });
});
