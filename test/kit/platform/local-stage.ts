import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { LocalPlatform } from '../../../src/kit/platform/local-platform.ts';
import type { Settings } from '../../../src/server/settings/settings.ts';
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
  { playground = true, settings = {} }: {
    readonly playground?: boolean;
    readonly settings?: Partial<Settings>;
  } = {},
): Promise<Stage> {
  const platform = new LocalPlatform({ playground });
  const recorded = recordLog();
  const served = await serve(t, {
    agent: defineAgent({ name: 'tested', onMessage: ({ text }) => `You said: ${text}`, ...agent }),
    platform,
    settings,
    log: recorded.log,
  });
  return {
    ...served,
    recorded,
    open: (query = '', fields = {}) => openBrowser(t, served.origin, query, fields),
  };
}

/** A front end that has said Hello to the agent. */
export async function greeted(
  t: TestContext, agent: Parameters<typeof stage>[1] = {}, query = '',
): Promise<Browser> {
  const { open } = await stage(t, agent);
  const browser = await open(query);
  browser.send({ type: 'client.response.text', content: 'Hello' });
  return browser;
}

/** A front end with a key of its own, for the length of the test. */
export async function openBrowser(
  t: TestContext, origin: string, query: string, fields: Readonly<Record<string, unknown>>,
): Promise<Browser> {
  const { client_session_key: key } = await authorize(origin, fields);
  const browser = await connect(origin, `client_session_key=${key}${query}`);
  assert.ok(browser instanceof Browser, JSON.stringify(browser));
  t.after(() => browser.destroy());
  return browser;
}
