import type { Check } from '../http/compose.ts';
import { ServiceUnavailable } from '../http/errors.ts';
import type { Shutdown } from '../http/shutdown.ts';

/** While the server shuts down, answers close their connection; later they are all 503. */
export function draining(shutdown: Shutdown): Check {
  return function draining(context) {
    if (shutdown.state === 'ready') return;
    context.setHeader('connection', 'close');
    if (shutdown.state !== 'draining' && shutdown.state !== 'replaced') {
      throw new ServiceUnavailable('the server is shutting down', 1);
    }
  };
}
