// What balancers and orchestrators ask.

import type { Handler } from '../../base/http/compose.ts';
import { version } from '../../base/version.ts';
import type { BoundAgent } from '../../core/agents/agent.ts';

export const NO_STORE = ['cache-control', 'no-store'] as const;

/** The liveness check: the answer itself shows that the process is alive. */
export function health(): Handler {
  return (context) => {
    const timestamp = new Date().toISOString();
    context.json(200, { status: 'healthy', timestamp, version }, NO_STORE);
  };
}

interface ReadyAgent {
  /** Undefined for an app's only agent. */
  readonly name: string | undefined;
  readonly agent: BoundAgent;
}

interface Readiness {
  readonly agents: readonly ReadyAgent[];
  /** Why no agent can take calls, one sentence per reason; empty if they can. */
  readonly reasons: () => readonly string[];
  /** Problems with what all agents share, if they do not prevent calls. */
  readonly warnings: () => readonly string[];
}

/**
 * The readiness check: 503 with the reasons while the process cannot take calls. Warnings are
 * problems that do not prevent calls: a refused key, or a store that does not answer.
 */
export function ready({ agents, reasons, warnings }: Readiness): Handler {
  const about = describe(agents);
  return (context) => {
    const unusable = agents.filter(({ agent }) => agent.model?.isUsable() === false);
    const why = [...reasons(), ...unusable.flatMap(problemsOf)];
    if (why.length > 0) {
      const headers = [...NO_STORE, 'retry-after', '5'];
      context.json(503, { ready: false, ...about, reasons: why }, headers);
      return;
    }
    const all = [...agents.flatMap(problemsOf), ...warnings()];
    const warned = all.length === 0 ? {} : { warnings: all };
    context.json(200, { ready: true, ...about, ...warned }, NO_STORE);
  };
}

/** Describes one agent, or a list of them. Models are named `provider:model`. */
function describe(agents: readonly ReadyAgent[]): object {
  const described = agents.map(({ name, agent }) => ({
    agent: name ?? agent.name,
    model: agent.model?.name ?? null,
  }));
  const isOnly = agents[0]?.name === undefined;
  return isOnly ? { ...described[0] } : { agents: described };
}

function problemsOf({ name, agent }: ReadyAgent): readonly string[] {
  const problems = agent.model?.problems() ?? [];
  return name === undefined ? problems : problems.map((problem) => `${name}: ${problem}`);
}
