import { loadSettings } from '../../server/settings/load-settings.ts';
import type { Settings } from '../../server/settings/settings.ts';
import type { Terminal } from './command.ts';
import type { Flags } from './flags.ts';

/**
 * The settings of a command other than `run`. `names`: the flags that are settings. `loadSettings`
 * checks their values.
 */
export function commandSettings<Flag extends string>(
  names: readonly Flag[],
  flags: Flags<Flag>,
  { environment, directory }: Terminal,
): Settings {
  return loadSettings({
    argv: names.flatMap((name) => (flags[name] === undefined ? [] : [`${name}=${flags[name]}`])),
    // Production requires a secret, which only a server needs: these commands verify no webhook.
    environment: { ...environment, NODE_ENV: 'development' },
    directory,
  });
}
