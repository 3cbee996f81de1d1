// Explains why LayerCode refused, to somebody who can fix it.

import { PlatformError } from '../../wires/layercode/rest-client.ts';
import { oneLine } from '../terminal/one-line.ts';

/**
 * One line: what failed, in the platform's own words if it sent any, and what to do. Contains no
 * key.
 */
export function describePlatformError(error: PlatformError, agentId: string): string {
  const { fault, remedy } = explain(error, oneLine(agentId, 80));
  const reason = error.reason === undefined ? '' : `: ${oneLine(error.reason)}`;
  return `${fault}${reason}; ${remedy}`;
}

interface Explanation {
  readonly fault: string;
  readonly remedy: string;
}

function explain(
  { kind, status, retryAfter, message, cause }: PlatformError,
  agentId: string,
): Explanation {
  if (kind === 'unreachable') {
    return {
      fault: `LayerCode cannot be reached (${causeOf(cause)})`,
      remedy: 'check the network and LAYERCODE_API_URL',
    };
  }
  if (kind === 'timed out') {
    return {
      fault: `LayerCode did not answer in time (${message})`,
      remedy: 'try again, or check LAYERCODE_API_URL',
    };
  }
  if (kind === 'malformed answer') {
    return {
      fault: `the answer is not LayerCode's (${message})`,
      remedy: 'check LAYERCODE_API_URL, and whether a proxy answers instead',
    };
  }
  if (kind === 'unclear webhook') {
    return {
      fault: `where LayerCode posts the events of agent ${agentId} is unclear: ${oneLine(message)}`,
      remedy: 'look at the agent in the dashboard, https://dash.layercode.com',
    };
  }
  const wait =
    retryAfter === undefined
      ? 'a moment'
      : `${oneLine(retryAfter, 40)}${/^\d+$/.test(retryAfter) ? ' s' : ''}`;
  switch (status) {
    case 401:
    case 403:
      return {
        fault: `LayerCode refused the key (${status})`,
        remedy: 'check LAYERCODE_API_KEY: it must belong to the account that has the agent',
      };
    case 404:
      return {
        fault: `LayerCode has no agent ${agentId} (404)`,
        remedy:
          'check LAYERCODE_AGENT_ID or --agent-id, '
          + 'and that LAYERCODE_API_KEY belongs to its account',
      };
    case 400:
      return {
        fault: 'LayerCode refused the request (400)',
        remedy: `check LAYERCODE_API_KEY and the agent's id, ${agentId}`,
      };
    case 402:
      return {
        fault: 'the LayerCode account has no balance (402)',
        remedy: 'top it up in the dashboard',
      };
    case 429:
      return { fault: 'LayerCode gets too many requests (429)', remedy: `try again after ${wait}` };
    default:
      return { fault: `LayerCode failed (${status ?? message})`, remedy: 'try again in a moment' };
  }
}

/**
 * `fetch failed` says nothing. The innermost cause does: ECONNREFUSED, ENOTFOUND, a bad
 * certificate.
 */
function causeOf(error: unknown): string {
  let innermost = error;
  for (
    let depth = 0;
    depth < 4 && innermost instanceof Error && innermost.cause !== undefined;
    depth++
  )
    innermost = innermost.cause;
  if (!(innermost instanceof Error)) return oneLine(String(innermost), 120);
  return 'code' in innermost && typeof innermost.code === 'string'
    ? innermost.code
    : oneLine(innermost.message, 120);
}
