// Records of format 1, with a call open. The fixtures are the parts that commit d302b29 wrote to
// Redis, byte by byte. `running`: a payment runs. `joined`: its turn was interrupted and delivered
// again while the payment still ran, and asked for it again.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { FORMAT, type Conversation } from '../../../src/conversations/conversation.ts';
import { ConversationManager } from '../../../src/conversations/manager.ts';
import type { OpenedTurn } from '../../../src/conversations/opened-turn.ts';
import type { TurnOpening } from '../../../src/conversations/turn-opening.ts';
import { toolMessagesOf } from '../../../src/conversations/turn-record.ts';
import { sharing } from './machines.ts';
import { PartsInMemory } from './parts-in-memory.ts';

const FIXTURES = JSON.parse(
  readFileSync(new URL('../../fixtures/format-1.json', import.meta.url), 'utf8'),
) as Readonly<Record<'running' | 'joined', Readonly<Record<string, string>>>>;

/** As the fixtures have them. */
const OLD = '50ddde43-84cc-4a27-9f74-a8809e636c84';
const KEY = '2e1b6fe850c1c7a48f3b1de7f298521367e8c0770b0cfe5f26b13dfe80e17694';
const [FIRST_RUN, SECOND_RUN] = [396039458, 396039459];

interface Rolled {
  readonly parts: PartsInMemory;
  readonly conversations: ConversationManager;
  readonly conversation: () => Promise<Conversation>;
  readonly open: (turnId: string, text: string, answers?: object) => Promise<unknown>;
}

/** A process of this version on what the old one has written. */
function roll(name: 'running' | 'joined', more: Readonly<Record<string, string>> = {}): Rolled {
  const stored = new Map(Object.entries({ ...FIXTURES[name], ...more }));
  const parts = new PartsInMemory(
    new Map([['c', { version: 'old', parts: stored, expiresAtMs: Infinity }]]));
  const conversations = new ConversationManager(sharing(parts));
  return {
    parts,
    conversations,
    async conversation() {
      return (await conversations.read('c')) ?? assert.fail();
    },
    async open(turnId, text, answers = {}) {
      const opening: TurnOpening = { turnId, runId: 7, text, process: 'young', ...answers };
      return conversations.openTurn('c', opening);
    },
  };
}

/** The old process has said that it runs the payment. */
const RUNS = {
  isAlive: (process: string) => process === OLD,
  isCallRunning: (key: string, process: string | undefined) => key === KEY && process === OLD,
};

/** The calls of a turn, as `id run process state`. */
async function calls({ conversation }: Rolled, turnId = 'twenty'): Promise<string[]> {
  const { turns } = await conversation();
  const turn = turns.find(({ id }) => id === turnId) ?? assert.fail();
  return toolMessagesOf(turn).map(({ toolCallId, runId, process, state }) =>
    [toolCallId, runId, process === OLD ? 'old' : process, state].join(' '));
}

describe('a conversation of format 1', () => {
  it('is read with the run of every call, and stays as it is stored', async () => {
    const rolled = roll('running');
    assert.deepEqual(await calls(rolled, 'ten'), ['call 396039457 old completed']);
    assert.deepEqual(await calls(rolled), [`call ${FIRST_RUN} old running`]);
    const { format, state, caller, runningCalls, openTurns } = await rolled.conversation();
    assert.deepEqual([format, state, runningCalls, openTurns], [FORMAT, '{"turns":1}', 1, 1]);
    assert.equal(caller?.from, '+15550100');
    assert.deepEqual(rolled.parts.changes, []);
  });

  it('asks the old process for the call that runs before a turn is opened', async () => {
    const asked = await roll('running').open('next', 'And?');
    assert.deepEqual(asked, { kind: 'elsewhere', calls: new Map([[OLD, [KEY]]]), erasedAt: 0 });
  });

  it('goes on with a new turn, while the old process runs the call', async () => {
    const rolled = roll('running');
    const opened = await rolled.open('next', 'And?', RUNS) as OpenedTurn;
    assert.deepEqual(opened.endedElsewhere, [{ process: OLD, runId: FIRST_RUN }]);
    assert.deepEqual(opened.lostCalls, []);
    assert.deepEqual(await calls(rolled), [`call ${FIRST_RUN} old running`]);
  });

  it('gives a turn that is delivered again the call of the run before', async () => {
    const rolled = roll('running');
    const opened = await rolled.open('twenty', 'Pay 20', RUNS) as OpenedTurn;
    assert.deepEqual(opened.takenOver, { process: OLD, runId: FIRST_RUN });
    const [call] = opened.earlierCalls;
    assert.deepEqual([call?.runId, call?.process, call?.key], [FIRST_RUN, OLD, KEY]);
  });

  it('knows the process, but not the run, of a call in front of the current run', async () => {
    const rolled = roll('joined');
    const expected = ['call  old running', `call-2 ${SECOND_RUN} old running`];
    assert.deepEqual(await calls(rolled), expected);
    const opened = await rolled.open('twenty', 'Pay 20', RUNS) as OpenedTurn;
    const [call, ...others] = opened.earlierCalls;
    assert.deepEqual([call?.toolCallId, call?.runId, call?.process], ['call', undefined, OLD]);
    assert.deepEqual(others, []);
  });

  it('gives no call the result of another run', async () => {
    const rolled = roll('joined');
    const result = { state: 'completed', content: '{"paid":20}', process: OLD } as const;
    const isKept = async (runId: number, toolCallId: string): Promise<boolean> => {
      const ended = { ...result, turnId: 'twenty', runId, toolCallId };
      return (await rolled.conversations.noteToolResult('c', ended)).isKept;
    };
    assert.equal(await isKept(SECOND_RUN, 'call'), false);
    assert.equal(await isKept(SECOND_RUN, 'call-2'), true);
    assert.deepEqual(await calls(rolled), [
      'call  old running', `call-2 ${SECOND_RUN} old completed`,
    ]);
  });

  it('is written in the current format at the next change, with unknown fields kept', async () => {
    const head = JSON.stringify({ ...JSON.parse(FIXTURES.running['head'] ?? ''), later: 1 });
    const rolled = roll('running', { head, 'later-part': '"unknown"' });
    await rolled.open('next', 'And?', RUNS);
    const [change] = rolled.parts.changes;
    const written = JSON.parse(change?.set.get('head') ?? '') as Record<string, unknown>;
    assert.deepEqual([written['format'], written['later']], [FORMAT, 1]);
    // The turns with calls, the new one, and no other.
    assert.deepEqual([...(change?.set.keys() ?? [])].sort(), ['1', '2', '3', 'head']);
    assert.deepEqual(change?.remove, []);
  });
});

describe('a conversation of format 2 that an old process goes on with', () => {
  it('has calls without a run again, which belong to the run of their turn', async () => {
    const rolled = roll('running', { head: '{"format":2,"updatedAt":1795810452828}' });
    assert.deepEqual(await calls(rolled), ['call   running']);
    const opened = await rolled.open('twenty', 'Pay 20', RUNS) as OpenedTurn;
    const [call] = opened.earlierCalls;
    assert.deepEqual([call?.runId, call?.process, call?.key], [FIRST_RUN, OLD, KEY]);
  });

  it('keeps the result of such a call', async () => {
    const rolled = roll('running', { head: '{"format":2,"updatedAt":1795810452828}' });
    const kept = await rolled.conversations.noteToolResult('c', {
      turnId: 'twenty', runId: FIRST_RUN, toolCallId: 'call', state: 'completed', content: '{}',
    });
    assert.equal(kept.isKept, true);
  });
});

describe('a conversation of a later format', () => {
  it('keeps its format when it is written', async () => {
    const rolled = roll('running', { head: '{"format":3,"updatedAt":1795810452828}' });
    await rolled.open('next', 'And?', RUNS);
    const [change] = rolled.parts.changes;
    assert.equal((JSON.parse(change?.set.get('head') ?? '') as Conversation).format, 3);
  });
});
