// What agents and tools may say about values, and which agents a conversation may go on to.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { checkHandOver } from '../../../src/core/agents/hand-over-rules.ts';
import { Speakers } from '../../../src/core/agents/speakers.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { emailAddresses } from '../../../src/core/redaction/email-addresses.ts';
import type { Redact } from '../../../src/core/redaction/redact.ts';
import { Redaction } from '../../../src/core/redaction/redaction.ts';
import { tool } from '../../../src/core/tools/tool.ts';

function agentOf(redact?: Redact): Agent {
  return defineAgent({
    name: 'x', onMessage: () => 'Yes.', ...(redact === undefined ? {} : { redact }),
  });
}

describe('defineAgent with redact', () => {
  // What else it refuses: checkRedact in redaction.test.ts.
  it('refuses what is not a finder, and names the agent', () => {
    assert.throws(() => agentOf(true as unknown as Redact), {
      message: "an agent's redact must be of type object or function or string, got boolean",
    });
    assert.throws(() => agentOf(['toString'] as unknown as Redact), {
      name: 'TypeError',
      message:
        'agent "x": redact takes the names "emails", "ibans", "cards", "phones", got "toString"',
    });
  });
});

describe('tool with raw', () => {
  it('refuses anything but a boolean', () => {
    const definition = {
      name: 'pay', description: 'Pays.', parameters: { type: 'object' }, run: () => 1,
    } as const;
    const message = 'tool pay: raw must be a boolean, got string';
    assert.throws(() => tool({ ...definition, raw: 'yes' as unknown as boolean }), { message });
    assert.equal(tool(definition).raw, false);
    assert.equal(tool({ ...definition, raw: true }).raw, true);
  });
});

describe('a hand-over', () => {
  const onFailure = (error: unknown): void => assert.fail(String(error));
  const standing = { speaker: 'own', count: 0, isUnderWay: false };
  const both = [cardNumbers, emailAddresses];

  for (const [own, next, isRefused] of [
    [both, undefined, false],
    [both, cardNumbers, false],
    [both, [emailAddresses, cardNumbers], false],
    [cardNumbers, both, true],
    [['cards', 'emails'], 'emails', false],
    [['cards', 'emails'], both, false],
    ['emails', ['emails', 'cards'], true],
    [undefined, cardNumbers, true],
    [undefined, [], false],
  ] as const) {
    const names = (redact: Redact = []): string => [redact].flat().length.toString();
    const kinds = `from ${names(own)} to ${names(next)} redacted kinds`;
    it(`${isRefused ? 'is refused' : 'is possible'} ${kinds}`, () => {
      const agents = new Map([['own', agentOf(own)], ['next', agentOf(next)]]);
      const redaction = own && new Redaction({ redact: own, key: 'k', onFailure });
      const speakers = new Speakers(agentOf(own), 'own', agents, redaction);
      const check = (): void => checkHandOver('next', speakers, standing);
      if (!isRefused) return assert.doesNotThrow(check);
      assert.throws(check, {
        code: 'ERR_HAND_OVER_REDACT',
        message: 'the agent "next" redacts more than the agent that took the call',
      });
    });
  }
});
