// The flags of `talk` that choose the wire, and what belongs to it.

import { nearestName } from '../../base/nearest-name.ts';
import { PROFILE_NAMES, type ProfileName } from '../../core/wires/chat-completions/profiles.ts';
import { UsageError } from '../terminal/command.ts';
import { wrongValue, type Flags } from '../terminal/flags.ts';

export const WIRE_FLAGS = ['--wire', '--profile', '--key'] as const;
export const WIRE_SWITCHES = ['--retry', '--speculate'] as const;

export type WireFlags = Flags<(typeof WIRE_FLAGS)[number] | '--secret'>;
export type WireSwitches = ReadonlySet<(typeof WIRE_SWITCHES)[number]>;

export interface PlatformBehaviour {
  readonly isRetrying: boolean;
  readonly isSpeculating: boolean;
}

/** What was given for Chat Completions. The rest is in the settings. */
export interface CompletionsFlags extends PlatformBehaviour {
  readonly profile?: ProfileName | undefined;
  readonly key?: string | undefined;
}

const WIRES = ['layercode', 'chat-completions'];

export { PROFILE_NAMES };

/**
 * Undefined on LayerCode's wire. Throws a `UsageError` for an unknown wire or profile, and for a
 * flag of the other wire.
 */
export function parseWireFlags(
  flags: WireFlags,
  switches: WireSwitches,
): CompletionsFlags | undefined {
  const { '--wire': wire = 'layercode', '--profile': profile, '--key': key } = flags;
  if (!WIRES.includes(wire)) refuse('--wire', wire, WIRES);
  if (wire === 'layercode') {
    if (key !== undefined)
      throw new UsageError('--key is for --wire chat-completions; on layercode it is --secret');
    const [other] = [...(profile === undefined ? [] : ['--profile']), ...switches];
    if (other !== undefined) throw new UsageError(`${other} needs --wire chat-completions`);
    return undefined;
  }
  if (flags['--secret'] !== undefined)
    throw new UsageError('--secret is for --wire layercode; on chat-completions it is --key');
  if (profile !== undefined && !isProfile(profile))
    refuse('--profile', profile, PROFILE_NAMES);
  return {
    profile,
    key,
    isRetrying: switches.has('--retry'),
    isSpeculating: switches.has('--speculate'),
  };
}

function isProfile(name: string): name is ProfileName {
  return (PROFILE_NAMES as readonly string[]).includes(name);
}

function refuse(flag: string, value: string, known: readonly string[]): never {
  const meant = nearestName(value.toLowerCase(), known, Math.ceil(value.length / 2));
  const remedy = meant === undefined ? '' : `; did you mean ${meant}?`;
  throw wrongValue(flag, `must be one of ${known.join(', ')}`, value, remedy);
}
