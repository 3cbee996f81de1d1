// Explains why LayerCode refused, to somebody who can fix it.

import { codeOf, messageOf } from '../../base/thrown-values.ts';
import { PlatformError } from '../../core/wires/layercode/rest-client.ts';
import { oneLine } from '../terminal/text.ts';

/**
 * One line: what failed, in the platform's own words if it sent any, and what to do. Contains no
 * key.
 */
export function describePlatformError(error: PlatformError, agentId: string): string {
  const [fault, remedy] = explain(error, oneLine(agentId, 80));
  const reason = error.reason === undefined ? '' : `: ${oneLine(error.reason)}`;
  return `${fault}${reason}; ${remedy}`;
}

function explain(
  { kind, status, retryAfter, message, cause }: PlatformError,
  agentId: string,
): readonly [fault: string, remedy: string] {
  switch (kind) {
    case 'unreachable':
      return [
        `LayerCode cannot be reached (${causeOf(cause)})`,
        'check the network and LAYERCODE_API_URL',
      ];
    case 'timed out':
      return [
        `LayerCode did not answer in time (${message})`, 'try again, or check LAYERCODE_API_URL',
      ];
    case 'malformed answer':
      return [
        `the answer is not LayerCode's (${message})`,
        'check LAYERCODE_API_URL, and whether a proxy answers instead',
      ];
    case 'unclear webhook':
      return [
        `where LayerCode posts the events of agent ${agentId} is unclear: ${oneLine(message)}`,
        'look at the agent in the dashboard, https://dash.layercode.com',
      ];
    case 'refused':
      return explainRefusal(status ?? message, waitOf(retryAfter), agentId);
    default:
      return kind satisfies never;
  }
}

function explainRefusal(
  status: number | string,
  wait: string,
  agentId: string,
): readonly [fault: string, remedy: string] {
  switch (status) {
    case 401:
    case 403:
      return [
        `LayerCode refused the key (${status})`,
        'check LAYERCODE_API_KEY: it must belong to the account that has the agent',
      ];
    case 404:
      return [
        `LayerCode has no agent ${agentId} (404)`,
        'check LAYERCODE_AGENT_ID or --agent-id, '
          + 'and that LAYERCODE_API_KEY belongs to its account',
      ];
    case 400:
      return [
        'LayerCode refused the request (400)',
        `check LAYERCODE_API_KEY and the agent's id, ${agentId}`,
      ];
    case 402:
      return ['the LayerCode account has no balance (402)', 'top it up in the dashboard'];
    case 429:
      return ['LayerCode is getting too many requests (429)', `try again after ${wait}`];
    default:
      return [`LayerCode failed (${status})`, 'try again in a moment'];
  }
}

function waitOf(retryAfter = 'a moment'): string {
  return `${oneLine(retryAfter, 40)}${/^\d+$/.test(retryAfter) ? ' s' : ''}`;
}

/**
 * `fetch failed` says nothing. The innermost cause does: ECONNREFUSED, ENOTFOUND, a bad
 * certificate.
 */
function causeOf(error: unknown): string {
  let innermost = error;
  for (let depth = 0; depth < 4 && innermost instanceof Error; depth++)
    innermost = innermost.cause ?? innermost;
  const code = codeOf(innermost);
  return typeof code === 'string' ? code : oneLine(messageOf(innermost), 120);
}
