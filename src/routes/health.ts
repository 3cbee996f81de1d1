import { version } from '../base/version.ts';
import type { Handler } from '../http/compose.ts';

/** The liveness check: the answer itself shows that the process is alive. */
export function health(): Handler {
  return (context) => {
    const timestamp = new Date().toISOString();
    context.json(200, { status: 'healthy', timestamp, version }, NO_STORE);
  };
}

export const NO_STORE = ['cache-control', 'no-store'] as const;
