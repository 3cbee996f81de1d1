import type { Observer } from '../http/compose.ts';
import type { Logger } from '../log.ts';

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
