// What is said while there is nothing to say yet.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withFiller } from '../../../src/core/agents/filler.ts';
import { pausing, silentAfter } from '../../faults/model-server.ts';
import { textReply } from '../../faults/wire-shapes.ts';
import { contentsOf, deferred, until, within } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { eventsOf, serveModel, spoken } from './model-app.ts';
import { APOLOGY } from './weather-tool.ts';

const plain = defineAgent({ name: 'plain', prompt: 'Be brief.' });
const AFTER = { FILLER_AFTER_MS: '20' };
const trimmed = (contents: readonly unknown[]): string[] =>
  contents.map((content) => String(content).trim());

/** A turn in German that can only say fillers. */
function fillable(sayFiller: (text: string) => boolean): MessageTurn {
  return { language: 'de', journal: { sayFiller } } as unknown as MessageTurn;
}

describe('a filler', () => {
  it('is not said if FILLER_AFTER_MS is 0', async (t) => {
    const { client } = await serveModel(t, plain, [silentAfter()], {
      FILLER_AFTER_MS: '0',
      FIRST_WORD_TIMEOUT_SECONDS: '0.2',
    });
    assert.deepEqual(contentsOf(await eventsOf(client.say('Rain?'))), [APOLOGY]);
  });

  it('does not count as the first word: FIRST_WORD_TIMEOUT_SECONDS keeps running', async (t) => {
    const { client, server } = await serveModel(t, plain, [silentAfter()], {
      ...AFTER,
      FIRST_WORD_TIMEOUT_SECONDS: '0.2',
    });
    assert.deepEqual(trimmed(contentsOf(await eventsOf(client.say('Rain?')))), [
      'One moment.',
      APOLOGY,
    ]);
    assert.equal(await within((await server.request(0)).wasCut, 'the connection to close'), true);
  });

  it('is repeated at growing intervals while nothing else is said', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const said: number[] = [];
    let nowMs = 0;
    const turn = fillable(() => said.push(nowMs) > 0);
    const gate = deferred();
    const spoken = withFiller(turn, 'One moment.', 1_000, () => gate.promise);
    for (; nowMs < 40_000; nowMs += 500) clock.tick(500);
    gate.resolve();
    await spoken;
    clock.tick(100_000);
    assert.deepEqual(said.map((ms) => ms + 500), [1_000, 6_000, 16_000, 36_000]);
  });

  it('is not said again once the agent has spoken, even if the agent never ends', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    let asked = 0;
    const sayFiller = (): boolean => {
      asked += 1;
      return false;
    };
    void withFiller(fillable(sayFiller), 'One moment.', 1_000, () => new Promise(() => undefined));
    clock.tick(1_000);
    clock.tick(100_000);
    assert.equal(asked, 1);
  });

  it('may be chosen for the turn, in its language', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const said: string[] = [];
    const turn = fillable((text) => said.push(text) > 0);
    const gate = deferred();
    const filler = ({ language }: MessageTurn): string =>
      language === 'de' ? 'Moment.' : 'One moment.';
    const spoken = withFiller(turn, filler, 20, () => gate.promise);
    clock.tick(20);
    gate.resolve();
    await spoken;
    assert.deepEqual(said, ['Moment.']);
  });

  it('that cannot be made is logged, and the turn goes on', async (t) => {
    const gate = deferred();
    const agent = defineAgent({
      name: 'own', prompt: 'Be brief.',
      filler: () => {
        throw new Error('no phrase');
      },
    });
    const script = [pausing([], gate.promise, textReply('Yes.'))] as const;
    const served = await serveModel(t, agent, script, AFTER);
    const reply = served.client.say('Rain?');
    const hasFailed = (): boolean => served.logLines.some((line) => line.includes('filler failed'));
    await until(hasFailed, 'the log line');
    gate.resolve();
    assert.equal(await spoken(reply), 'Yes.');
  });

  it('is not said once the turn is over', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const said: string[] = [];
    const turn = fillable((text) => said.push(text) > 0);
    await withFiller(turn, 'One moment.', 20, () => Promise.resolve());
    clock.tick(1_000);
    assert.deepEqual(said, []);
  });
});
