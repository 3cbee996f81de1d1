import type { Observer } from '../../base/http/compose.ts';
import type { Logger } from '../../base/log.ts';
import { Counter, type Metrics } from '../../base/metrics.ts';

/**
 * Logs one line per request when it ends, however it ends. The query is left out, because it may
 * contain secrets.
 */
export function accessLog(log: Logger): Observer {
  return function accessLog(isFinished, context) {
    const line: Record<string, unknown> = {
      requestId: context.requestId,
      method: context.method,
      path: context.path,
      status: context.response.headersSent ? context.response.statusCode : undefined,
      durationMs: Math.round((performance.now() - context.receivedAtMs) * 100) / 100,
      bytes: context.bodyBytes,
      isCutShort: isFinished ? undefined : true,
    };
    for (const name in context.logFields) line[name] = context.logFields[name];
    log.info('request', line);
  };
}

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
