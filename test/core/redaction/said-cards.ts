// Card numbers, said in many ways over both wires, to a tool that reads them back.

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { noLog } from '../../../src/base/log.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import { openStore } from '../../../src/core/conversations/stores/open-store.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { scriptedModel, type ScriptedFunction } from '../../../src/kit/scripted-model.ts';
import { openCallRecords } from '../../../src/server/records/open-call-records.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { contentsOf, messageEvent, until, type Served } from '../../fixtures/app.ts';
import { serveCompletions } from '../../fixtures/completions.ts';
import { IS_LONG } from '../../fixtures/long.ts';
import { cardNumbersOf, digitsIn, WAYS } from './spoken-cards.ts';

/** In npm test, a call over each wire, and one that is cut. */
const NUMBERS = IS_LONG ? 500 : 100;
const PER_TURN = 5;
const PER_CALL = 50;
export const CALLS = NUMBERS / PER_CALL;

/** Reads the cards back with a tool, and repeats what it returned. */
const readBack: ScriptedFunction = ({ messages }) => {
  const last = messages.at(-1);
  if (last?.role === 'tool') return `So ${last.content}.`;
  const cards = String(last?.content).match(/\[card \w+\]/g) ?? [];
  return [{ call: 'read_back', args: { cards } }];
};

/** A tool that says each number aloud, and returns it. */
const readBackTool = tool({
  name: 'read_back',
  description: 'Reads cards back.',
  raw: true,
  tellBrowser: 'everything',
  parameters: {
    type: 'object',
    properties: { cards: { type: 'array', items: { type: 'string', pattern: '^\\d{13,19}$' } } },
    required: ['cards'],
    additionalProperties: false,
  },
  async run({ cards }, { reply }) {
    await reply.say(`I have ${cards.join(' and ')}. `);
    return { cards, again: cards.map((card) => card.match(/.{1,4}/g)?.join(' ') ?? '') };
  },
});

/** What a caller says in one turn: some numbers, each in a different way. */
function wordsFor(numbers: readonly string[], turn: number): string {
  const ways = Object.values(WAYS);
  return numbers
    .map((number, index) => {
      const said = ways[(turn + index) % ways.length]?.(number);
      return `number ${'abcde'[index]} is ${said}`;
    })
    .join('; and ');
}

async function hear({ client }: Served, event: object): Promise<string> {
  return contentsOf(await (await client.post(event)).events()).join('');
}

/** All points of all turns, with their words. */
function traced(t: TestContext): unknown[] {
  const points: unknown[] = [];
  const listener = (point: unknown): void => void points.push(point);
  subscribe('layercode-microserver:turn', listener);
  t.after(() => unsubscribe('layercode-microserver:turn', listener));
  return points;
}

export interface Kept {
  /** `CONVERSATION_STORE`. `folder` is removed after the test, and everything in it is searched. */
  readonly store: (folder: string) => string;
  /** Where the packages of the store are. */
  readonly directory?: string;
  /** Whether tools of other processes get the values. */
  readonly isShared?: boolean;
  /** Everything that the store holds in the end. Default: what is in the folder. */
  readonly contents?: () => Promise<string>;
}

/** Asserts that none of the numbers is anywhere but in what the caller says and hears. */
export async function assertNowhere(t: TestContext, kept: Kept): Promise<void> {
  const { directory = process.cwd(), contents = async () => '' } = kept;
  const folder = mkdtempSync(join(tmpdir(), 'redaction-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const environment = {
    CONVERSATION_STORE: kept.store(folder),
    ...(kept.isShared === true ? { REDACTION_KEY: 'k'.repeat(32) } : {}),
    CAPTURE_MODEL_REQUESTS: 'true',
    CALL_RECORDS: `file:${join(folder, 'calls.jsonl')}`,
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true',
  };
  const settings = parseSettings(environment, []);
  const store = await openStore(settings, { log: noLog(), directory });
  const records = await openCallRecords(settings, { log: noLog() });
  assert.ok(records !== undefined);
  const model = scriptedModel(readBack);
  const agent = withModel(defineAgent({
    name: 'x', prompt: 'Be brief.', redact: cardNumbers, tools: [readBackTool],
  }), model);
  const points = traced(t);
  const served = serveCompletions(t, agent, { environment, store, records });
  const numbers = cardNumbersOf(NUMBERS);
  const read: unknown[] = [];
  for (let first = 0; first < numbers.length; first += PER_CALL) {
    const call = first / PER_CALL;
    const id = `c-${call}`;
    const lines: string[] = [];
    for (let at = first; at < first + PER_CALL; at += PER_TURN) {
      const said = numbers.slice(at, at + PER_TURN);
      const text = wordsFor(said, at / PER_TURN);
      lines.push(`user: ${text}`);
      const ids = { conversation_id: id, session_id: id, turn_id: `${id}-${at}` };
      const spoken = call % 2 === 0
        ? await hear(served, messageEvent({ ...ids, text }))
        : await served.platform.hear(lines, { conversationId: id });
      for (const number of said) assert.ok(spoken.includes(number), `${number} in ${spoken}`);
      // The platform reports half of every other reply.
      lines.push(`agent: ${call % 4 === 1 ? spoken.slice(0, spoken.length / 2) : spoken}`);
    }
    const transcript = lines.map((text) => ({ role: 'user', text }));
    const end = { conversation_id: id, session_id: id, transcript };
    await served.client.post({ type: 'session.end', ...end });
    read.push(await served.app.conversations.read(id));
  }
  await until(() => readdirSync(folder).some((name) => name.startsWith('calls-')), 'a record');
  await served.app.close();
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'));
  const places = {
    read: JSON.stringify(read),
    store: await contents(),
    model: JSON.stringify(model.requests),
    trace: JSON.stringify(points),
    log: served.logLines.join('\n'),
    files: files.join('\n'),
  };
  assert.equal(read.length, CALLS);
  assert.match(places.files, /\[card 50\]/);
  assert.match(places.files, /"captured"/);
  assert.match(places.trace, /\[card 50\]/);
  for (const [place, text] of Object.entries(places)) {
    const digits = digitsIn(text);
    const found = numbers.filter((number) => digits.includes(number));
    assert.deepEqual(found, [], `found in ${place}`);
  }
}
