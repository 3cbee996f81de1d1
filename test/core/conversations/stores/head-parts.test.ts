// How a shared store keeps what belongs to a conversation as a whole: its head, and the state.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  emptyConversation, type Conversation,
} from '../../../../src/core/conversations/conversation.ts';
import { HeadParts, type KnownHead } from '../../../../src/core/conversations/stores/head-parts.ts';

interface Opened {
  readonly conversation: Conversation;
  readonly parts: HeadParts;
}

/** A conversation with parts that the store has. */
function open(stored: Readonly<Record<string, string>> = {}): Opened {
  const conversation = emptyConversation('c');
  const parts = new HeadParts(conversation);
  for (const [name, text] of Object.entries(stored)) assert.ok(parts.read(name, text));
  parts.allRead();
  return { conversation, parts };
}

/** Writes what has changed, and returns the parts that are set. */
function write({ parts }: Opened): Readonly<Record<string, string>> {
  const set = new Map<string, string>();
  parts.addTo({ set, add: new Map(), remove: [] }, 'version');
  parts.written(set);
  return Object.fromEntries(set);
}

describe('the head of a conversation', () => {
  it('does not count if it cannot be read', () => {
    assert.equal(new HeadParts(emptyConversation('c')).read('head', '{"cut'), false);
  });

  it('is not believed about its id and its turns', () => {
    const head = JSON.stringify({ id: 'other', turns: [1], turnHashes: [1], later: 1 });
    const { conversation } = open({ head });
    const { id, turns, turnHashes } = conversation;
    assert.deepEqual({ id, turns, turnHashes }, { id: 'c', turns: [], turnHashes: [] });
  });

  it('counts as unchanged once it has been read or written', () => {
    const opened = open(write(open({ head: '{"agent":"sales"}', state: '{"n":1}' })));
    assert.equal(opened.parts.hasChanged, false);
    opened.conversation.agent = 'support';
    assert.equal(opened.parts.hasChanged, true);
    write(opened);
    assert.equal(opened.parts.hasChanged, false);
  });

  it('counts changes to the state and to the agent, and no others', () => {
    const opened = open({ head: '{"revision":4,"agent":"sales"}' });
    const revisions = [opened.parts.known(false).revision];
    for (const change of [{ state: '{"n":1}' }, { agent: 'support' }, { updatedAt: 7 }]) {
      Object.assign(opened.conversation, change);
      write(opened);
      revisions.push(opened.parts.known(false).revision);
    }
    assert.deepEqual(revisions, [4, 5, 6, 6]);
  });
});

describe('the state in the store', () => {
  it('is written again only once if the store has lost it', () => {
    const opened = open({ state: '{"n":1}' });
    opened.parts.putBack();
    const written = [write(opened), write(opened)].map(({ state }) => state?.split('\n')[0]);
    assert.deepEqual(written, ['{"n":1}', undefined]);
  });

  it('is reported if what was added to it cannot be read', () => {
    const known = open({ state: '{"n":1}\nv1' }).parts;
    const unreadable = [' [{"kind":"set","path":["n"],"was":1,"to":2}]', ' [{']
      .map((added) => open().parts.join(known, () => false, new Map([['state', `\nv2${added}`]])));
    assert.deepEqual(unreadable, [[], ['state']]);
  });
});

describe('what another copy has not stored yet', () => {
  it('is taken over, but not what that copy had read', () => {
    const latest = open({ head: '{"agent":"sales"}', state: '{"n":1}' });
    latest.parts.takeNew(open({ head: '{"agent":"older"}', state: '{"n":0}' }).parts);
    assert.deepEqual([latest.conversation.agent, latest.conversation.state], ['sales', '{"n":1}']);
    const other = open();
    Object.assign(other.conversation, { agent: 'support', state: '{"n":2}' });
    latest.parts.takeNew(other.parts);
    const { agent, state } = latest.conversation;
    assert.deepEqual([agent, state], ['support', '{"n":2}']);
  });

  it('includes what a first state was created from', () => {
    const [latest, other] = [open(), open()];
    Object.assign(other.conversation, { state: '{"n":2}', madeFrom: '{"n":1}' });
    latest.parts.takeNew(other.parts);
    const { state, madeFrom } = latest.conversation;
    assert.deepEqual([state, madeFrom], ['{"n":2}', '{"n":1}']);
  });

  // Previously the cake came twice.
  it('is only what came after a write that succeeded without an answer', () => {
    const list = (...dishes: readonly string[]): string => JSON.stringify({ n: dishes });
    const first = open({ state: `${list('tea')}\nv0` });
    first.conversation.state = list('tea', 'cola');
    first.parts.addTo({ set: new Map(), add: new Map(), remove: [] }, 'v1');
    first.parts.failed('v1');
    const second = open({ state: `${list('tea', 'cola', 'cake')}\nv0 v1 v2` });
    second.parts.takeNew(first.parts);
    second.conversation.state = list('tea', 'cola', 'cake', 'jam');
    const third = open({ state: `${list('tea', 'cola', 'cake', 'pie')}\nv0 v1 v2 v3` });
    third.parts.takeNew(second.parts);
    assert.equal(third.conversation.state, list('tea', 'cola', 'cake', 'pie', 'jam'));
  });

  it('does not replace the caller', () => {
    const latest = open({ head: '{"caller":{"sessionId":"a"}}' });
    latest.parts.takeNew(open({ head: '{"caller":{"sessionId":"b"}}' }).parts);
    assert.deepEqual(latest.conversation.caller, { sessionId: 'a' });
  });
});

describe('what a store has lost', () => {
  const lost: KnownHead = {
    state: '{"n":2}', storedState: '{"n":2}', versions: [], made: [], agent: 'support',
    caller: undefined, revision: 2, spent: undefined, reports: undefined,
  };
  const stored = (revision: number): Opened =>
    open({ head: JSON.stringify({ agent: 'sales', revision }), state: '{"n":1}' });

  for (const [what, revision, isErased, isTaken] of [
    ['is put back if the store has fewer changes', 1, false, true],
    ['is not put back if the store has as many, perhaps from another process', 2, false, false],
    ['is not put back if the store has more', 3, false, false],
    ['is put back, whatever the store has, if that was erased here', 3, true, true],
  ] as const)
    it(what, () => {
      const { conversation, parts } = stored(revision);
      parts.takeLost(lost, isErased);
      const expected = isTaken ? ['support', '{"n":2}'] : ['sales', '{"n":1}'];
      assert.deepEqual([conversation.agent, conversation.state], expected);
    });

  for (const [what, revision, agent] of [
    ['includes a missing agent', 2, 'support'],
    ['includes no agent if that has been removed since', 3, undefined],
  ] as const)
    it(what, () => {
      const { conversation, parts } = open({ head: JSON.stringify({ revision }) });
      parts.takeLost(lost, false);
      assert.deepEqual([conversation.state, conversation.agent], ['{"n":2}', agent]);
    });

  it('does not count as lost again', () => {
    const { parts } = stored(1);
    parts.takeLost(lost, false);
    assert.equal(parts.known(false).revision, 2);
  });
});
