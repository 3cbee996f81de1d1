import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import type { Agent } from '../../../src/agents/agent.ts';
import { defineAgent } from '../../../src/agents/define-agent.ts';
import { LocalPlatform } from '../../../src/kit/platform/local-platform.ts';
import { recordLog, serve, type RecordedLog, type Served } from '../../fixtures/kernel.ts';
import { authorize, Browser, connect } from './browser.ts';

interface Stage extends Served {
  readonly recorded: RecordedLog;
  /** A front end with a key of its own. */
  readonly open: (query?: string, fields?: Readonly<Record<string, unknown>>) => Promise<Browser>;
}

export async function stage(
  t: TestContext,
  agent: Partial<Agent> & { readonly welcome?: string } = {},
  { playground = true } = {},
): Promise<Stage> {
  const platform = new LocalPlatform({ playground });
  const recorded = recordLog();
  const served = await serve(t, {
    agent: defineAgent({ name: 'tested', onMessage: ({ text }) => `You said: ${text}`, ...agent }),
    platform,
    log: recorded.log,
  });
  return {
    ...served,
    recorded,
    async open(query = '', fields = {}) {
      const { client_session_key } = await authorize(served.origin, fields);
      const browser = await connect(
        served.origin,
        `client_session_key=${client_session_key}${query}`,
      );
      assert.ok(browser instanceof Browser, JSON.stringify(browser));
      t.after(() => browser.destroy());
      return browser;
    },
  };
}
