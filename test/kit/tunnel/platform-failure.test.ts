import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PlatformError } from '../../../src/core/wires/layercode/rest-client.ts';
import { describePlatformError } from '../../../src/kit/tunnel/platform-failure.ts';

type More = { readonly reason?: string; readonly retryAfter?: string };

function refused(status: number, more: More = {}): PlatformError {
  return new PlatformError('refused', 'LayerCode refused', { status, ...more });
}

const network = new TypeError('fetch failed', {
  cause: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }),
});
const certificate = new TypeError('fetch failed', { cause: new Error('self-signed\ncertificate') });

describe('describePlatformError', () => {
  for (const [error, line] of [
    [
      new PlatformError('unreachable', 'x', { cause: network }),
      'LayerCode cannot be reached (ECONNREFUSED); check the network and LAYERCODE_API_URL',
    ],
    [
      new PlatformError('unreachable', 'x', { cause: certificate }),
      'LayerCode cannot be reached (self-signed certificate); '
        + 'check the network and LAYERCODE_API_URL',
    ],
    [
      new PlatformError('unreachable', 'x', { cause: 'a text' }),
      'LayerCode cannot be reached (a text); check the network and LAYERCODE_API_URL',
    ],
    [
      new PlatformError('timed out', 'no answer in 10 s'),
      'LayerCode did not answer in time (no answer in 10 s); try again, or check LAYERCODE_API_URL',
    ],
    [
      new PlatformError('malformed answer', 'not JSON'),
      "the answer is not LayerCode's (not JSON); "
        + 'check LAYERCODE_API_URL, and whether a proxy answers instead',
    ],
    [
      new PlatformError('unclear webhook', 'two webhooks'),
      'where LayerCode posts the events of agent ag-1 is unclear: two webhooks; '
        + 'look at the agent in the dashboard, https://dash.layercode.com',
    ],
    ...[401, 403].map((status) => [
      refused(status, { reason: 'Unknown\u001b[2J key' }),
      `LayerCode refused the key (${status}): Unknown [2J key; `
        + 'check LAYERCODE_API_KEY: it must belong to the account that has the agent',
    ] as const),
    [
      refused(404),
      'LayerCode has no agent ag-1 (404); check LAYERCODE_AGENT_ID or --agent-id, '
        + 'and that LAYERCODE_API_KEY belongs to its account',
    ],
    [
      refused(400),
      "LayerCode refused the request (400); check LAYERCODE_API_KEY and the agent's id, ag-1",
    ],
    [refused(402), 'the LayerCode account has no balance (402); top it up in the dashboard'],
    [refused(429), 'LayerCode is getting too many requests (429); try again after a moment'],
    [
      refused(429, { retryAfter: '30' }),
      'LayerCode is getting too many requests (429); try again after 30 s',
    ],
    [
      refused(429, { retryAfter: 'Fri, 27 Nov 2026 12:00:00 GMT' }),
      'LayerCode is getting too many requests (429); try again after Fri, 27 Nov 2026 12:00:00 GMT',
    ],
    [refused(500), 'LayerCode failed (500); try again in a moment'],
    [
      new PlatformError('refused', 'no status'),
      'LayerCode failed (no status); try again in a moment',
    ],
  ] as const) {
    it(`says: ${line.slice(0, 60)}`, () => {
      assert.equal(describePlatformError(error, 'ag-1'), line);
    });
  }
});
