import type { Handler } from '../http/compose.ts';
import { NO_STORE } from './health.ts';

export interface Readiness {
  readonly agent: string;
  /** `provider:model`; null for an agent that needs none. */
  readonly model: string | null;
  /** Why no call can be taken now, a sentence each; empty when it can. */
  readonly reasons: () => readonly string[];
  /** What is wrong though calls are taken: a key that was refused, a store that does not answer. */
  readonly problems: () => readonly string[];
}

/** Whether the process may be sent calls: 503 with the reasons while it may not. */
export function ready({ agent, model, reasons, problems }: Readiness): Handler {
  return (context) => {
    const why = reasons();
    const warnings = problems();
    if (why.length === 0) {
      const told = warnings.length === 0 ? {} : { warnings };
      context.json(200, { ready: true, agent, model, ...told }, NO_STORE);
      return;
    }
    const headers = [...NO_STORE, 'retry-after', '5'];
    context.json(503, { ready: false, agent, model, reasons: why }, headers);
  };
}
