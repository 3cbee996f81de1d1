import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent, MessageTurn, StartTurn } from '../../../src/core/agents/agent.ts';
import type { Reply } from '../../../src/core/agents/agent.ts';
import { defineAgent, type AgentDefinition } from '../../../src/core/agents/define-agent.ts';
import { WELCOME_BACK } from '../../../src/core/agents/phrases.ts';
import { looking } from './weather-tool.ts';

const HOOKS = [
  'onSessionStart',
  'onMessage',
  'onData',
  'onSessionUpdate',
  'onSessionEnd',
  'onInterrupted',
] as const;
/** An agent with every field. */
const WHOLE: Agent & { readonly welcome: string } = {
  name: 'whole',
  description: 'Has everything.',
  apology: 'Oh dear.',
  welcome: 'Welcome.',
  onSessionStart: () => 'Hello.',
  onMessage: () => 'Yes.',
  onData: () => ({ ok: true }),
  onSessionUpdate: () => undefined,
  onSessionEnd: () => undefined,
  onInterrupted: () => undefined,
};

const LEAST: Agent = { name: 'least', onMessage: () => 'Yes.' };

function startOf(agent: Agent, isResumed: boolean): unknown {
  return agent.onSessionStart?.({ isResumed } as StartTurn, {} as Reply);
}

function defineAnything(definition: unknown): Agent {
  return defineAgent(definition as AgentDefinition);
}

describe('defineAgent', () => {
  it('accepts an agent with every field, and keeps each', () => {
    const agent = defineAgent(WHOLE);
    for (const name of ['name', 'description', 'apology', ...HOOKS] as const)
      assert.equal(agent[name], WHOLE[name]);
  });

  it('does not change the definition', () => {
    const definition = Object.freeze({ ...LEAST, welcome: 'Welcome.' });
    defineAgent(definition);
    assert.deepEqual(Object.keys(definition), ['name', 'onMessage', 'welcome']);
  });

  it('starts calls with the welcome, or "Welcome back." for a returning caller', () => {
    const agent = defineAgent({ ...LEAST, welcome: 'Welcome.' });
    assert.equal(startOf(agent, false), 'Welcome.');
    assert.equal(startOf(agent, true), WELCOME_BACK);
    assert.equal(WELCOME_BACK, 'Welcome back.');
  });

  it('keeps even an empty welcome: it was chosen', () => {
    assert.equal(startOf(defineAgent({ ...LEAST, welcome: '' }), false), '');
  });

  it('lets onSessionStart replace both welcomes', () => {
    const agent = defineAgent({ ...LEAST, welcome: 'Welcome.', onSessionStart: () => 'Mine.' });
    assert.deepEqual([startOf(agent, false), startOf(agent, true)], ['Mine.', 'Mine.']);
  });

  it('accepts what it has returned', () => {
    const agent = defineAgent(defineAgent({ ...LEAST, welcome: 'Welcome.' }));
    assert.equal(startOf(agent, false), 'Welcome.');
    assert.equal(startOf(agent, true), 'Welcome back.');
  });

  const types: readonly (readonly [field: string, type: string, wrong: unknown])[] = [
    ['name', 'string', () => 'x'],
    ['description', 'string', null],
    ['welcome', 'string or function', 5],
    ...HOOKS.map((hook) => [hook, 'function', 'Hi.'] as const),
  ];
  for (const [field, type, wrong] of types) {
    it(`refuses ${JSON.stringify(wrong) ?? 'a function'} for ${field}`, () => {
      assert.throws(() => defineAnything({ ...WHOLE, [field]: wrong }), {
        name: 'TypeError',
        message: `an agent's ${field} must be of type ${type}, got ${typeof wrong}`,
      });
    });
  }

  it('accepts undefined for every field but name and onMessage', () => {
    const optional = types.filter(([field]) => field !== 'name' && field !== 'onMessage');
    for (const [field] of optional) defineAnything({ ...WHOLE, [field]: undefined });
  });

  // `export default function onMessage() { … }` is an easy mistake: the error does not show its
  // source.
  const refused: readonly (readonly [what: string, definition: unknown, message: RegExp])[] = [
    ['a misspelt field', { ...WHOLE, onMesage: () => 'x' }, /"onMesage"; did you mean "onMessage"/],
    ['an empty name', { ...LEAST, name: '' }, /^an agent must have a name$/],
    ['no name', { ...LEAST, name: undefined }, /^an agent must have a name$/],
    ['no onMessage', { name: 'mute', welcome: 'Hi.' }, /^agent "mute" must have onMessage/],
    ['undefined for onMessage', { name: 'mute', onMessage: undefined }, /^agent "mute" must have/],
    ['null', null, /^an agent must be an object, got null$/],
    ['a string', 'echo', /^an agent must be an object, got string$/],
    ['a function', function onMessage() {}, /^an agent must be an object, got function$/],
  ];
  for (const [what, definition, message] of refused) {
    it(`refuses ${what}`, () =>
      assert.throws(() => defineAnything(definition), { name: 'TypeError', message }));
  }

  it('keeps the hooks of a class with a welcome', () => {
    // Hooks used to be spread into a copy, and a spread takes nothing from a prototype.
    class Greeting implements Agent {
      readonly name = 'greeting';
      readonly welcome = 'Welcome.';
      #turns = 0;

      onMessage(): string {
        this.#turns += 1;
        return `Turn ${this.#turns}.`;
      }
    }
    const agent = defineAgent(new Greeting());
    assert.equal(startOf(agent, false), 'Welcome.');
    assert.equal(typeof agent.onMessage, 'function');
    assert.equal(agent.onMessage({} as MessageTurn, {} as Reply), 'Turn 1.');
  });

  const look = looking();
  for (const [what, tools, message] of [
    [
      'a tool that is a plain object',
      [{ name: 'look', run: () => 'seen' }],
      'agent "x": each of its tools must be made with tool({ … })',
    ],
    [
      'undefined among the tools',
      [look, undefined],
      'agent "x": each of its tools must be made with tool({ … })',
    ],
    ['two tools with one name', [look, { ...look }], 'agent "x" has two tools named "look"'],
    ['tools that are not a list', { look }, 'agent "x": tools must be a list'],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => defineAnything({ name: 'x', prompt: 'Be brief.', tools }), {
        name: 'TypeError',
        message,
      });
    });
  }
});
