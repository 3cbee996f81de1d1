import { randomBytes } from 'node:crypto';

import { MemoryStore } from '../../conversations/memory-store.ts';
import { Backstage } from './backstage.ts';
import { Reader } from './caller.ts';
import { Notebook } from './notebook.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import { Play } from './play.ts';
import type { ScenarioResult } from './result.ts';
import type { Scenario } from './scenario.ts';
import { stageSettings } from './stage-settings.ts';
import { WatchedStore } from './watched-store.ts';

/**
 * Plays a scenario once, to an app of its own. Resolves with what came of it. `problemsOf` must
 * have found nothing. Rejects with the reason of `signal`.
 */
export async function playScenario(
  scenario: Scenario,
  cast: Cast,
  options: PlayOptions,
): Promise<ScenarioResult> {
  const secret = `whsec_${randomBytes(32).toString('base64url')}`;
  const access = { secret, key: randomBytes(32).toString('base64url') };
  const notebook = new Notebook();
  const stage = options.openStage?.(scenario, access, notebook.take) ?? new Backstage({
    scenario,
    settings: stageSettings(cast.settings, scenario, access.secret, access.key),
    agent: cast.agent,
    store: memoryStore(),
    onSight: notebook.take,
    allowsRealTools: options.allowsRealTools,
    modelFor: options.modelFor,
  });
  const play = new Play(scenario, options, {
    stage,
    notebook,
    callerFrom: (from, address) =>
      new Reader({ origin: { ...scenario.origin, from }, address, ...access }),
  });
  try {
    return await play.run();
  } finally {
    await stage.close();
  }
}

function memoryStore(): WatchedStore {
  return new WatchedStore(new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 }));
}
