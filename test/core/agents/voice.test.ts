import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Reply } from '../../../src/core/agents/agent.ts';
import { Voice } from '../../../src/core/agents/voice.ts';

function voiceFor(said: string[], isSpeakable = true): Voice {
  const say = (text: string): boolean => said.push(text) > 0;
  return new Voice({ say } as unknown as Reply, { isSpeakable });
}

describe('Voice', () => {
  it('says each piece as it comes, stripped of what cannot be spoken', () => {
    const said: string[] = [];
    const voice = voiceFor(said);
    for (const piece of ['**It**', ' rains', '. 🌧']) voice.speak(piece);
    voice.finish();
    assert.equal(said.join(''), 'It rains.');
    assert.ok(said.length > 1, String(said.length));
  });

  it('says everything as it is if told to', () => {
    const said: string[] = [];
    const voice = voiceFor(said, false);
    voice.speak('**It**');
    voice.finish();
    assert.deepEqual(said, ['**It**']);
  });

  it('puts a space between two texts, and none within one', () => {
    const said: string[] = [];
    const voice = voiceFor(said);
    for (const text of ['One.', 'Two.']) {
      voice.speak(text.slice(0, 2));
      voice.speak(text.slice(2));
      voice.finish();
    }
    assert.equal(said.join(''), 'One. Two.');
  });

  it('forgets what it held back of a text that is broken off', () => {
    const said: string[] = [];
    const voice = voiceFor(said);
    voice.speak('It rains. https://exam');
    voice.breakOff();
    voice.speak('No.');
    voice.finish();
    assert.equal(said.join(''), 'It rains. No.');
  });

  it('breaks off a text that it says as it is', () => {
    const said: string[] = [];
    const voice = voiceFor(said, false);
    voice.speak('*It* rai');
    voice.breakOff();
    voice.speak('No.');
    assert.equal(said.join(''), '*It* rai No.');
  });
});
