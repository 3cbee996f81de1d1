// Code that not every app needs. `createApp` is synchronous, so it has all of it. The server loads
// what its agents need: docs/decisions/005-tuned-for-v8.md

import type { Agent, BoundAgent } from '../../core/agents/agent.ts';
import { hasSdk } from '../observers/open-telemetry.ts';
import type { Settings } from '../settings/settings.ts';

export interface CodeOnDemand {
  /**
   * Not needed for agents that only speak, with conversations in memory and without records,
   * limits, other processes or a local platform.
   */
  readonly work?: typeof import('./work.ts') | undefined;
  /** For agents with `redact`. */
  readonly redaction?: typeof import('./agent-values.ts') | undefined;
  /** If an OpenTelemetry SDK is running. */
  readonly spans?: typeof import('../observers/span-tracer.ts') | undefined;
}

/** Throws an error if the code is not there: nobody knew that it was needed. */
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

/** An agent's own code may call tools and models. A built-in agent that does not says so. */
function onlySpeaks({ bind, tools }: BoundAgent): boolean {
  return bind === undefined && tools?.length === 0;
}
