import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SessionTranscript } from '../../../src/kit/platform/transcript.ts';

function said(transcript: SessionTranscript): string[] {
  return transcript.entries.map(({ role, text, turn_id }) => `${turn_id} ${role}: ${text}`);
}

describe('SessionTranscript', () => {
  it('has only the latest text of each turn', () => {
    const transcript = new SessionTranscript();
    transcript.set('user', 't-1', 'Hello?');
    transcript.set('assistant', 't-2', 'One two three.');
    transcript.set('assistant', 't-2', 'One two');
    assert.deepEqual(said(transcript), ['t-1 user: Hello?', 't-2 assistant: One two']);
  });

  it('keeps the newest 1,000 entries', () => {
    const transcript = new SessionTranscript();
    for (let n = 0; n <= 1_000; n++) transcript.set('user', `t-${n}`, 'a');
    const { entries } = transcript;
    assert.deepEqual([entries.length, entries[0]?.turn_id], [1_000, 't-1']);
  });

  it('keeps 262,144 characters of text, not counting what was replaced', () => {
    const transcript = new SessionTranscript();
    transcript.set('user', 't-1', 'a');
    for (let n = 0; n < 3; n++) transcript.set('assistant', 't-2', 'b'.repeat(262_143));
    assert.equal(transcript.entries.length, 2);
    transcript.set('user', 't-3', 'c');
    assert.deepEqual(transcript.entries.map(({ turn_id }) => turn_id), ['t-2', 't-3']);
  });

  it('keeps the newest entry, however long it is', () => {
    const transcript = new SessionTranscript();
    transcript.set('user', 't-1', 'a'.repeat(300_000));
    assert.equal(transcript.entries.length, 1);
  });
});
