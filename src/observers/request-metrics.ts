import type { Observer } from '../http/compose.ts';
import { Counter, type Metrics } from '../metrics.ts';

const METHODS: ReadonlySet<string> = new Set([
  'GET', 'HEAD', 'POST', 'OPTIONS', 'PUT', 'PATCH', 'DELETE',
]);

/**
 * Counts requests by method and status. The status is `none` if the connection closed without an
 * answer.
 */
export function requestMetrics(metrics: Metrics): Observer {
  const help = 'HTTP requests by method and status.';
  const requests = metrics.add(new Counter('http_requests_total', help, ['method', 'status']));
  return function requestMetrics(_isFinished, { method, response }) {
    const label = METHODS.has(method) ? method : 'other'; // never chosen by a client
    requests.increment([label, response.headersSent ? String(response.statusCode) : 'none']);
  };
}
