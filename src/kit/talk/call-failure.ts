// Explains why a webhook did not answer properly, to somebody who can fix it.

import type { CallFailure } from '../platform/caller-turn.ts';
import { oneLine } from '../terminal/text.ts';
import { wireOf, type CallTarget, type Wire } from './call-target.ts';

/** One line: where it happened, what happened, and what to do. */
export function describeFailure({ status, reason }: CallFailure, target: CallTarget): string {
  const { origin, pathname } = new URL(target.webhookUrl);
  const wire = wireOf(target);
  const what = oneLine(reason);
  if (status === undefined) {
    const remedy = /redirect/.test(what)
      ? 'use the URL that it redirects to'
      : 'is the server running there?';
    return `no answer from ${origin}${pathname}: ${what}; ${remedy}`;
  }
  if (status < 400) {
    return `the answer of ${origin}${pathname} (${status}) is not a complete reply: ${what}; `
      + `check that this is ${ADDRESSES[wire]}, and see the server's log`;
  }
  const remedy = status === 401 && wire === 'layercode' && ASKS_FOR_KEY.test(what)
    ? 'the server has no webhook secret, only keys: use talk --wire chat-completions'
    : remedyFor(status, wire);
  return `${origin}${pathname} refused: ${what}; ${remedy}`;
}

/** What a webhook answers that speaks Chat Completions only. */
const ASKS_FOR_KEY = /API key/;

/** What is called on each wire. */
const ADDRESSES = {
  layercode: 'a webhook', 'chat-completions': 'an agent that speaks Chat Completions',
} as const satisfies Record<Wire, string>;

function remedyFor(status: number, wire: Wire): string {
  switch (status) {
    case 401:
      return wire === 'layercode'
        ? 'the server has another webhook secret (see --secret), or one of the clocks is wrong'
        : 'the server does not know this key (see --key and CHAT_COMPLETIONS_KEYS)';
    case 404:
    case 405:
      return wire === 'layercode'
        ? 'is that the path of a webhook? See --url and AGENT_ROUTE'
        : 'has the server CHAT_COMPLETIONS_KEYS? See also --url and AGENT_ROUTE';
    case 413:
      return 'send less, or raise the server\'s MAX_BODY_BYTES';
    case 429:
    case 503:
      return 'try again in a moment';
    default:
      return status >= 500 ? 'see the server\'s log' : `is that the URL of ${ADDRESSES[wire]}?`;
  }
}
