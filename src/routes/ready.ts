import type { Handler } from '../http/compose.ts';
import { NO_STORE } from './health.ts';

export interface Readiness {
  readonly agent: string;
  /** `provider:model`; null for an agent that needs none. */
  readonly model: string | null;
  /** Why no call can be taken now, a sentence each; empty when it can. */
  readonly reasons: () => readonly string[];
}

/** Whether the process may be sent calls: 503 with the reasons while it may not. */
export function ready({ agent, model, reasons }: Readiness): Handler {
  return (context) => {
    const why = reasons();
    if (why.length === 0) context.json(200, { ready: true, agent, model }, NO_STORE);
    else context.json(503, { ready: false, agent, model, reasons: why }, [...NO_STORE, 'retry-after', '5']);
  };
}
