import assert from 'node:assert/strict';

import type { Environment } from '../../../src/base/environment.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { SettingsError, type Settings } from '../../../src/server/settings/settings.ts';

export const secret = 'whsec_4f1d0c2b9a8e7f60';

/** What `parseSettings` finds wrong, or nothing. */
export function problemsOf(
  environment: Environment,
  argv: readonly string[] = [],
): readonly string[] {
  return problemsIn(() => parseSettings(environment, argv));
}

/** What `read` finds wrong with the settings. */
export function problemsIn(read: () => Settings): readonly string[] {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error));
    return error.problems;
  }
  return [];
}
