import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent, MessageTurn, StartTurn } from '../../src/agents/agent.ts';
import type { Reply } from '../../src/agents/agent.ts';
import { defineAgent, type AgentDefinition } from '../../src/agents/define-agent.ts';
import { WELCOME_BACK } from '../../src/agents/phrases.ts';
import { tool } from '../../src/tools/tool.ts';

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
  it('takes an agent with a name and onMessage, and nothing else', () => {
    const agent = defineAgent(LEAST);
    assert.equal(agent.name, 'least');
    assert.equal(agent.onSessionStart, undefined);
    assert.equal(agent.onMessage({} as MessageTurn, {} as Reply), 'Yes.');
  });

  it('takes an agent with every field, and keeps each', () => {
    const agent = defineAgent(WHOLE);
    for (const name of ['name', 'description', 'apology', ...HOOKS] as const)
      assert.equal(agent[name], WHOLE[name]);
  });

  it('does not change the definition', () => {
    const definition = Object.freeze({ ...LEAST, welcome: 'Welcome.' });
    defineAgent(definition);
    assert.deepEqual(Object.keys(definition), ['name', 'onMessage', 'welcome']);
  });

  it('says the welcome when a call begins, and "Welcome back." to a caller who is back', () => {
    const agent = defineAgent({ ...LEAST, welcome: 'Welcome.' });
    assert.equal(startOf(agent, false), 'Welcome.');
    assert.equal(startOf(agent, true), WELCOME_BACK);
    assert.equal(WELCOME_BACK, 'Welcome back.');
  });

  it('says a welcome that is empty: it was chosen', () => {
    assert.equal(startOf(defineAgent({ ...LEAST, welcome: '' }), false), '');
  });

  it('lets onSessionStart replace both', () => {
    const agent = defineAgent({ ...LEAST, welcome: 'Welcome.', onSessionStart: () => 'Mine.' });
    assert.deepEqual([startOf(agent, false), startOf(agent, true)], ['Mine.', 'Mine.']);
  });

  it('takes what it returned', () => {
    const agent = defineAgent(defineAgent({ ...LEAST, welcome: 'Welcome.' }));
    assert.equal(startOf(agent, false), 'Welcome.');
    assert.equal(startOf(agent, true), 'Welcome back.');
  });

  const expected: readonly (readonly [field: string, type: string, ...wrong: unknown[]])[] = [
    ['name', 'string', () => 'x'],
    ['description', 'string', () => 'x'],
    ['welcome', 'string or a function'],
    ...HOOKS.map((hook) => [hook, 'function', 'Hi.'] as const),
  ];
  for (const [field, type, ...others] of expected) {
    for (const wrong of [5, true, {}, [], null, ...others]) {
      it(`refuses ${JSON.stringify(wrong) ?? 'a function'} for ${field}`, () => {
        assert.throws(() => defineAnything({ ...WHOLE, [field]: wrong }), {
          name: 'TypeError',
          message: `an agent's ${field} must be a ${type}, got ${typeof wrong}`,
        });
      });
    }

    if (field !== 'name' && field !== 'onMessage') {
      it(`takes undefined for ${field}`, () => {
        defineAnything({ ...WHOLE, [field]: undefined });
      });
    }
  }

  for (const misspelt of [
    'onmessage',
    'onMesage',
    'on_message',
    'onInterruption',
    'constructor',
    'toString',
    'hasOwnProperty',
  ]) {
    it(`names the misspelt field ${misspelt}, and what was meant or is known`, () => {
      const start = `^agent "[^"]+": unknown field "${misspelt}"; `;
      assert.throws(() => defineAnything({ ...WHOLE, [misspelt]: () => 'x' }), {
        name: 'TypeError',
        message: new RegExp(`${start}.*on(?:Message|Interrupted)`),
      });
    });
  }

  for (const name of ['', undefined]) {
    it(`refuses ${JSON.stringify(name) ?? 'undefined'} for a name`, () => {
      assert.throws(() => defineAnything({ ...LEAST, name }), {
        name: 'TypeError',
        message: 'an agent must have a name',
      });
    });
  }

  it('names the agent that has no onMessage', () => {
    assert.throws(() => defineAnything({ name: 'mute', welcome: 'Hi.' }), {
      name: 'TypeError',
      message: /^agent "mute" must have onMessage/,
    });
    assert.throws(() => defineAnything({ name: 'mute', onMessage: undefined }), {
      name: 'TypeError',
      message: /^agent "mute" must have onMessage/,
    });
  });

  for (const wrong of [undefined, null, 'echo', 5]) {
    it(`refuses ${JSON.stringify(wrong) ?? 'undefined'} for an agent`, () => {
      assert.throws(() => defineAnything(wrong), {
        name: 'TypeError',
        message: /^an agent must be an object, got /,
      });
    });
  }

  it('refuses a function, in one line and without its source', () => {
    // `export default function onMessage() { … }` is an easy mistake.
    const agent = function onMessage(): string {
      // a secret of the source
      return 'Yes.';
    };
    assert.throws(() => defineAnything(agent), {
      name: 'TypeError',
      message: /^an agent must be an object, got (a )?function$/,
    });
  });

  it('takes an instance of a class, whose hooks are on its prototype', () => {
    class Counting implements Agent {
      readonly name = 'counting';
      #turns = 0;

      onMessage(): string {
        this.#turns += 1;
        return `Turn ${this.#turns}.`;
      }
    }
    const agent = defineAgent(new Counting());
    assert.equal(agent.onMessage({} as MessageTurn, {} as Reply), 'Turn 1.');
    assert.equal(agent.onMessage({} as MessageTurn, {} as Reply), 'Turn 2.');
  });

  it('keeps the hooks of a class with a welcome', () => {
    // Was: hooks were spread into a copy, to which a spread takes nothing of a prototype.
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

  const look = tool({
    name: 'look',
    description: 'Looks.',
    parameters: { type: 'object' },
    run: () => 'seen',
  });

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
    ['two tools of one name', [look, { ...look }], 'agent "x" has two tools named "look"'],
    ['tools that are no list', { look }, 'agent "x": tools must be a list'],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => defineAnything({ name: 'x', prompt: 'Be brief.', tools }), {
        name: 'TypeError',
        message,
      });
    });
  }
});
