import { randomUUID } from 'node:crypto';

import { MemoryStore } from '../../core/conversations/memory-store.ts';
import { CallerSession } from '../platform/caller-session.ts';
import { AT_ONCE } from '../platform/caller-turn.ts';
import { completionsTestWire } from '../platform/completions-test-wire.ts';
import { layercodeTestWire } from '../platform/layercode-test-wire.ts';
import { backstage } from './backstage.ts';
import { Notebook } from './notebook.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import { playCall, type Playing } from './play.ts';
import type { ScenarioResult } from './result.ts';
import type { Origin, Scenario } from './scenario.ts';
import { aheadOf, shiftedClock } from './shifted-clock.ts';
import { newAccess, stageSettings, type Access } from './stage-settings.ts';
import type { Address } from './stage.ts';
import { watched } from './watched-store.ts';

/**
 * Plays a scenario once, to an app of its own. Resolves with the result. `problemsOf` must have
 * found nothing. Rejects with the reason of `signal`.
 */
export async function playScenario(
  scenario: Scenario,
  cast: Cast,
  options: PlayOptions,
): Promise<ScenarioResult> {
  const access = newAccess();
  const notebook = new Notebook();
  const aheadMs = aheadOf(scenario);
  const stage = options.openStage?.(scenario, access, notebook, aheadMs) ?? backstage({
    ...options,
    scenario,
    settings: stageSettings(cast.settings, scenario, access),
    agent: cast.agent,
    store: watched(new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 })),
    notes: notebook,
    aheadMs,
  });
  const playing: Playing = {
    ...options,
    stage,
    notebook,
    callerFrom: (from, address) => callerOf({ ...scenario.origin, from }, access, address),
    explain: ({ status, reason }) =>
      `${status === undefined ? 'there was no answer' : 'the agent\'s server failed'}: ${reason}`,
  };
  const clock = shiftedClock(aheadMs);
  try {
    // What LayerCode signs includes a time, which must be the time on the agent's clock.
    return await clock.run(() => playCall(scenario, playing));
  } finally {
    clock.close(); // the stage has one of its own
    await stage.close();
  }
}

/**
 * Reads replies as they arrive. What the caller has heard is exactly what was read, up to the word
 * at which they paused, so it is the same in each run.
 */
function callerOf(
  { platform, language, ...caller }: Origin,
  { secret, key }: Access,
  address: () => Address,
): CallerSession {
  const conversationId = randomUUID();
  const wire = platform === 'layercode'
    ? layercodeTestWire({ secret, conversationId })
    : completionsTestWire({ profile: platform, key, conversationId });
  return new CallerSession({
    wire,
    caller,
    url: () => address().origin + wire.pathOn(address().route),
    headers: language === undefined ? {} : { 'x-language': language },
    wordsPerMinute: AT_ONCE,
  });
}
