// How a shared store keeps turns: one part each, whose name is a number.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  addTurn, emptyConversation, removeTurn, type Conversation,
} from '../../../../src/core/conversations/conversation.ts';
import { TurnParts } from '../../../../src/core/conversations/stores/turn-parts.ts';
import { newTurn, type TurnRecord } from '../../../../src/core/conversations/turn-record.ts';

interface Opened {
  readonly conversation: Conversation;
  readonly parts: TurnParts;
}

/** A conversation with parts that the store has, in reverse order. */
function open(stored: Readonly<Record<string, object | undefined>> = {}): Opened {
  const conversation = emptyConversation('c');
  const parts = new TurnParts(conversation);
  for (const [name, part] of Object.entries(stored).toReversed())
    parts.read(name, part === undefined ? 'cut' : JSON.stringify(part));
  parts.allRead();
  parts.noteChanges();
  return { conversation, parts };
}

function record(id: string, fields: Partial<TurnRecord> = {}): TurnRecord {
  return { ...newTurn(id, 'completed', 1), ...fields };
}

function add({ conversation, parts }: Opened, turn: TurnRecord): TurnRecord {
  addTurn(conversation, turn);
  parts.noteAdded();
  return turn;
}

/** Writes what has changed, and returns the names of the parts. */
function write({ parts }: Opened): { readonly set: string[]; readonly removed: string[] } {
  const set = new Map<string, string>();
  const removed: string[] = [];
  parts.addTo(set, removed);
  parts.written();
  return { set: [...set.keys()], removed };
}

function idsOf({ conversation }: Opened): readonly string[] {
  return conversation.turns.map(({ id }) => id);
}

describe('the turns that a store has', () => {
  it('are followed by new ones, numbered from their highest number on', () => {
    const opened = open({ '2': record('a'), '10': record('b') });
    add(opened, record('c'));
    assert.deepEqual(write(opened), { set: ['11'], removed: [] });
  });

  for (const [what, part] of [['is not a turn', { id: 7 }], ['is not JSON', undefined]] as const)
    it(`do not share the name of a part that ${what}`, () => {
      const opened = open({ '2': part });
      assert.deepEqual(idsOf(opened), []);
      add(opened, record('a'));
      assert.deepEqual(write(opened).set, ['3']);
    });

  it('are in the order in which they were added, not in that of their names', () => {
    const stored = { '0': record('b', { addedAt: 2 }), '1': record('a', { addedAt: 1 }) };
    assert.deepEqual(idsOf(open(stored)), ['a', 'b']);
  });

  it('are in the order of their numbers if nothing says when they were added', () => {
    assert.deepEqual(idsOf(open({ '10': record('b'), '9': record('a') })), ['a', 'b']);
  });

  it('keep their names', () => {
    const opened = open({ '7': record('a') });
    const [turn = assert.fail()] = opened.conversation.turns;
    opened.conversation.touched?.add(turn);
    assert.deepEqual([...opened.parts.touched], [turn]);
    assert.deepEqual(write(opened).set, ['7']);
    assert.deepEqual([...opened.parts.touched], []);
  });

  it('lose the part of a removed turn, and do not use its name again', () => {
    const opened = open({ '0': record('a') });
    const [turn = assert.fail()] = opened.conversation.turns;
    removeTurn(opened.conversation, 0);
    assert.deepEqual(write(opened), { set: [], removed: ['0'] });
    add(opened, turn); // it was put back
    assert.deepEqual(write(opened), { set: ['1'], removed: [] });
  });

  it('are all written again under their names if the store has lost them', () => {
    const opened = open({ '0': record('a'), '1': record('b') });
    opened.parts.putBack();
    assert.deepEqual(write(opened).set, ['0', '1']);
  });
});

describe('a turn that was trimmed before it could be written', () => {
  it('leaves nothing to write', () => {
    const opened = open();
    add(opened, record('a'));
    removeTurn(opened.conversation, 0);
    opened.parts.forgetUnsaved();
    assert.equal(opened.parts.touched.size, 0);
  });

  it('leaves only its removal to write if the store has an older version of it', () => {
    const opened = open({ '0': record('a') });
    removeTurn(opened.conversation, 0);
    opened.parts.forgetUnsaved();
    assert.deepEqual(write(opened).removed, ['0']);
  });

  it('leaves no part behind when its conversation is written', () => {
    const opened = open();
    add(opened, record('a'));
    removeTurn(opened.conversation, 0);
    assert.deepEqual(write(opened), { set: [], removed: [] });
  });
});

describe('the time of a new turn', () => {
  it('is that of its first arrival, however late it is added', () => {
    const opened = open();
    add(opened, record('a', { firstArrivedAt: 5, arrivedAt: 9 }));
    add(opened, record('b', { arrivedAt: 7 }));
    assert.deepEqual(opened.conversation.turns.map(({ addedAt }) => addedAt), [5, 7]);
  });

  it('is later than that of the turn before it', () => {
    const opened = open();
    for (const id of ['a', 'b']) addTurn(opened.conversation, record(id, { arrivedAt: 5 }));
    opened.parts.noteAdded();
    add(opened, record('c', { arrivedAt: 1 }));
    assert.deepEqual(opened.conversation.turns.map(({ addedAt }) => addedAt), [5, 6, 7]);
  });

  it('stays the same even if the turn is delivered again before it is written', () => {
    const opened = open();
    const turn = add(opened, record('a', { arrivedAt: 5 }));
    turn.arrivedAt = 9;
    add(opened, record('b', { arrivedAt: 10 }));
    assert.equal(turn.addedAt, 5);
  });
});
