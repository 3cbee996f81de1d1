import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { messageEvent, serve, type Served } from '../../fixtures/app.ts';
import { jumpingClock } from '../../fixtures/clock.ts';
import { requestLines } from '../../fixtures/completions.ts';

/** An app after a turn whose first word took three seconds, and its second two more. */
async function served(t: TestContext): Promise<Served> {
  const pass = jumpingClock(t);
  const answering = serve(t, {
    async *onMessage({ text }, { data }) {
      data('no word');
      pass(3_000);
      if (text === 'silence') return;
      yield 'One.';
      pass(2_000);
      yield ' Two.';
    },
  });
  await (await answering.client.post(messageEvent())).text();
  return answering;
}

function isBetween(value: number, least: number, most: number): void {
  assert.ok(value >= least && value < most, String(value));
}

describe('the time of the first word', () => {
  it('is in /metrics in seconds, but not for a turn that says nothing', async (t) => {
    const { client, metric } = await served(t);
    await (await client.say('silence')).text();
    isBetween(metric('layercode_first_speech_seconds_sum{event="message"}'), 3, 4);
    assert.equal(metric('layercode_first_speech_seconds_bucket{event="message",le="2.5"}'), 0);
    assert.equal(metric('layercode_first_speech_seconds_bucket{event="message",le="5"}'), 1);
    assert.equal(metric('layercode_first_speech_seconds_count{event="message"}'), 1);
    const turns = 'layercode_turns_total{event="message",outcome="completed",wire="layercode"}';
    assert.equal(metric(turns), 2);
  });

  it('is separate for each kind of event', async (t) => {
    const { client, metric } = serve(t, { welcome: 'Hello.' });
    await (await client.start()).text();
    await (await client.say('Hi.')).text();
    await (await client.say('Hi.')).text();
    const count = (event: string): number =>
      metric(`layercode_first_speech_seconds_count{event="${event}"}`);
    assert.deepEqual([count('session.start'), count('message')], [1, 2]);
  });
});

describe('the outcomes of turns', () => {
  it('begin at 0, for the wires that are served', (t) => {
    const keys = { CHAT_COMPLETIONS_KEYS: 'key-0123456789' };
    const beginning = (environment: Readonly<Record<string, string>>): readonly string[] => {
      const { app } = serve(t, {}, { environment });
      const failed = /^layercode_turns_total\{event="([^"]+)",outcome="failed",wire="[^"]+"\} 0$/gm;
      return [...app.metrics.text().matchAll(failed)].map(([, event = '']) => event);
    };
    assert.deepEqual(beginning({}), ['session.start', 'message']);
    assert.deepEqual(beginning(keys), ['session.start', 'message', 'chat.completion']);
  });
});

describe('the usage of models', () => {
  const known = {
    type: 'usage', model: 'a:b', inputTokens: 5, outputTokens: 7, cachedTokens: 3,
    firstDeltaMs: 2_500,
  } as const;
  const unknown = {
    type: 'usage', model: 'c:d', inputTokens: undefined, outputTokens: undefined, firstDeltaMs: 9,
  } as const;

  async function using(
    t: TestContext,
    ...used: readonly (typeof known | typeof unknown)[]
  ): Promise<Served> {
    const answering = serve(t, {
      onMessage({ journal }) {
        for (const usage of used) journal.noteUsage(usage);
        return 'Yes.';
      },
    });
    await (await answering.client.post(messageEvent())).text();
    return answering;
  }

  it('is in /metrics by model: tokens, and the time to the first one in seconds', async (t) => {
    const { metric } = await using(t, known, known, unknown);
    assert.deepEqual(
      [
        metric('layercode_model_tokens_total{model="a:b",direction="input"}'),
        metric('layercode_model_tokens_total{model="a:b",direction="output"}'),
        metric('layercode_model_tokens_total{model="a:b",direction="cached_input"}'),
        metric('layercode_model_first_token_seconds_sum{model="a:b"}'),
        metric('layercode_model_first_token_seconds_count{model="c:d"}'),
      ],
      [10, 14, 6, 5, 1],
    );
  });

  for (const [what, used, expected] of [
    [
      "sums of all requests, and the first one's time in milliseconds",
      [known, unknown, known],
      {
        model: 'a:b,c:d', modelRequests: 3, inputTokens: 10, outputTokens: 14, cachedTokens: 6,
        firstTokenMs: 2_500,
      },
    ],
    [
      'a model without tokens where no vendor reported any',
      [unknown],
      { model: 'c:d', modelRequests: 1, inputTokens: undefined, firstTokenMs: 9 },
    ],
  ] as const) {
    it(`is in the log as ${what}`, async (t) => {
      const { logLines } = await using(t, ...used);
      const [line] = await requestLines(logLines);
      const names = Object.keys(expected);
      assert.deepEqual(Object.fromEntries(names.map((name) => [name, line?.[name]])), expected);
    });
  }
});
