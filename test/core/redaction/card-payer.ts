import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import type { Redact } from '../../../src/core/redaction/redact.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { scriptedModel, type ScriptedFunction } from '../../../src/kit/scripted-model.ts';
import type { TestAgent, Told } from '../../fixtures/app.ts';

/** Calls `pay` with the first placeholder in the caller's words, and says what came back. */
const payer: ScriptedFunction = ({ messages }) => {
  const last = messages.at(-1);
  const [card] = /\[(?:card|code) [^\]]+\]/.exec(String(last?.content)) ?? [];
  if (last?.role === 'tool' || card === undefined) return String(last?.content);
  return [{ call: 'pay', args: { card } }];
};

/** What `pay` was given, and under which key. */
export type Paid = Told<readonly [card: string, key: string]>;

/** An agent that pays with the cards that it hears. */
export function paying(
  paid: Paid,
  once: boolean | ((args: { readonly card: string }) => string) = false,
  redact: Redact = cardNumbers,
): TestAgent {
  const pay = tool({
    name: 'pay',
    description: 'Pays.',
    raw: true,
    once,
    parameters: {
      type: 'object', properties: { card: { type: 'string' } }, required: ['card'],
      additionalProperties: false,
    },
    run({ card }, { idempotencyKey }) {
      paid.tell([card, idempotencyKey]);
      return 'paid';
    },
  });
  const agent = defineAgent({
    name: 'x', prompt: 'Pay.', tools: [pay], redact, speakable: false,
  });
  return withModel(agent, scriptedModel(payer));
}
