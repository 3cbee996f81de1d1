// Explains why a webhook did not answer properly, to somebody who can fix it.

import type { CallFailure } from '../platform/caller-turn.ts';
import { oneLine } from '../terminal/text.ts';
import type { CallTarget } from './call-target.ts';

/** What is being called on each wire, and what to do about a refusal. */
const LAYERCODE = {
  address: 'a webhook',
  unauthorized:
    'the server has another webhook secret (see --secret), or one of the clocks is wrong',
  notFound: 'is that the path of a webhook? See --url and AGENT_ROUTE',
};
const COMPLETIONS: typeof LAYERCODE = {
  address: 'an agent that speaks Chat Completions',
  unauthorized: 'the server does not know this key (see --key and CHAT_COMPLETIONS_KEYS)',
  notFound: 'does the server have CHAT_COMPLETIONS_KEYS? See also --url and AGENT_ROUTE',
};

/** Found in the refusal of a server that speaks only Chat Completions. */
const ASKS_FOR_KEY = /API key/;

/** One line: where it happened, what happened, and what to do. */
export function describeFailure(
  { status, reason }: CallFailure,
  { url, platform }: CallTarget,
): string {
  const { origin, pathname } = new URL(url);
  const wire = platform === undefined ? LAYERCODE : COMPLETIONS;
  const what = oneLine(reason);
  if (status === undefined) {
    const remedy = /redirect/.test(what)
      ? 'use the URL that it redirects to'
      : 'is the server running there?';
    return `no answer from ${origin}${pathname}: ${what}; ${remedy}`;
  }
  if (status < 400) {
    return `the answer from ${origin}${pathname} (${status}) is not a complete reply: ${what}; `
      + `check that this is ${wire.address}, and see the server's log`;
  }
  const remedy = status === 401 && wire === LAYERCODE && ASKS_FOR_KEY.test(what)
    ? 'the server has no webhook secret, only keys: use talk --wire chat-completions'
    : remedyFor(status, wire);
  return `${origin}${pathname} refused: ${what}; ${remedy}`;
}

function remedyFor(status: number, wire: typeof LAYERCODE): string {
  switch (status) {
    case 401:
      return wire.unauthorized;
    case 404:
    case 405:
      return wire.notFound;
    case 413:
      return 'send less, or raise the server\'s MAX_BODY_BYTES';
    case 429:
    case 503:
      return 'try again in a moment';
    default:
      return status >= 500 ? 'see the server\'s log' : `is that the URL of ${wire.address}?`;
  }
}
