// Code that not every app needs. `createApp` is synchronous, so it has all of it. The server loads
// what its agents need: docs/decisions/005-tuned-for-v8.md

import type { Agent, BoundAgent } from '../agents/agent.ts';
import { hasSdk } from '../observers/open-telemetry.ts';
import type { Settings } from '../settings/settings.ts';

export interface CodeOnDemand {
  /**
   * For all but agents that only speak, with conversations in memory, and without records, limits,
   * other processes and a local platform.
   */
  readonly work?: typeof import('./work.ts') | undefined;
  /** For agents with `redact`. */
  readonly redaction?: typeof import('./agent-values.ts') | undefined;
  /** If an OpenTelemetry SDK runs. */
  readonly spans?: typeof import('../observers/span-tracer.ts') | undefined;
}

/** Throws an error if it is not there: it was not known to be needed. */
export function loaded<K extends keyof CodeOnDemand>(
  name: K,
  code: CodeOnDemand,
): NonNullable<CodeOnDemand[K]> {
  const found = code[name];
  if (found === undefined) throw new Error(`the code for ${name} is not loaded`);
  return found;
}

/** Loads what an app of these agents needs. `options`: see `AppOptions`. */
export async function loadCode(
  settings: Settings,
  agents: readonly Agent[],
  { store, records, channel, platform }: Readonly<
    Partial<Record<'store' | 'records' | 'channel' | 'platform', unknown>>
  >,
): Promise<CodeOnDemand> {
  const isPlain = (store ?? records ?? channel ?? platform) === undefined
    && !hasLimits(settings) && !settings.captureModelRequests;
  const redacts = agents.some(({ redact }) => redact !== undefined);
  const [work, redaction, spans] = await Promise.all([
    isPlain && agents.every(onlySpeaks) ? undefined : import('./work.ts'),
    redacts ? import('./agent-values.ts') : undefined,
    hasSdk() ? import('../observers/span-tracer.ts') : undefined,
  ]);
  return { work, redaction, spans };
}

export function hasLimits({ maxCostPerCall, maxTokensPerCall }: Settings): boolean {
  return (maxCostPerCall ?? maxTokensPerCall) !== undefined;
}

/** An agent's own code may call tools and models. One of ours says so if it does not. */
function onlySpeaks({ bind, tools }: BoundAgent): boolean {
  return bind === undefined && tools?.length === 0;
}
