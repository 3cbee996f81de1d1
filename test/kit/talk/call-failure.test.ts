import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { describeFailure } from '../../../src/kit/talk/call-failure.ts';

const URL = 'http://localhost:8000/api/agent?secret=1';
const TARGET = { url: URL, secret: 's' };
const PLACE = 'http://localhost:8000/api/agent';

describe('describeFailure', () => {
  for (const [status, reason, line] of [
    [undefined, 'ECONNREFUSED', `no answer from ${PLACE}: ECONNREFUSED; is the server running there?`],
    [
      undefined,
      'unexpected redirect',
      `no answer from ${PLACE}: unexpected redirect; use the URL that it redirects to`,
    ],
    [
      200,
      'no response.end',
      `the answer from ${PLACE} (200) is not a complete reply: no response.end; `
        + "check that this is a webhook, and see the server's log",
    ],
    [
      401,
      'Invalid\nsignature',
      `${PLACE} refused: Invalid signature; `
        + 'the server has another webhook secret (see --secret), or one of the clocks is wrong',
    ],
    [
      401,
      'Incorrect API key provided',
      `${PLACE} refused: Incorrect API key provided; `
        + 'the server has no webhook secret, only keys: use talk --wire chat-completions',
    ],
    [404, 'x', `${PLACE} refused: x; is that the path of a webhook? See --url and AGENT_ROUTE`],
    [405, 'x', `${PLACE} refused: x; is that the path of a webhook? See --url and AGENT_ROUTE`],
    [413, 'x', `${PLACE} refused: x; send less, or raise the server's MAX_BODY_BYTES`],
    [429, 'x', `${PLACE} refused: x; try again in a moment`],
    [503, 'x', `${PLACE} refused: x; try again in a moment`],
    [400, 'x', `${PLACE} refused: x; is that the URL of a webhook?`],
    [499, 'x', `${PLACE} refused: x; is that the URL of a webhook?`],
    [500, 'x', `${PLACE} refused: x; see the server's log`],
    [502, 'x', `${PLACE} refused: x; see the server's log`],
  ] as const) {
    it(`says what to do about ${status ?? 'no answer'} (${reason}), and hides the query`, () => {
      assert.equal(describeFailure({ status, reason }, TARGET), line);
    });
  }

  const completions = {
    url: `${PLACE}/chat/completions`, secret: 'k',
    platform: { profile: 'generic', isRetrying: false, isSpeculating: false },
  } as const;
  for (const [status, remedy] of [
    [401, 'the server does not know this key (see --key and CHAT_COMPLETIONS_KEYS)'],
    [404, 'does the server have CHAT_COMPLETIONS_KEYS? See also --url and AGENT_ROUTE'],
    [400, 'is that the URL of an agent that speaks Chat Completions?'],
  ] as const) {
    it(`says what to do about ${status} over Chat Completions`, () => {
      const line = `${PLACE}/chat/completions refused: x; ${remedy}`;
      assert.equal(describeFailure({ status, reason: 'x' }, completions), line);
    });
  }
});
