// Why a webhook did not answer as it should, told to whoever can mend it.

import { oneLine } from '../terminal/one-line.ts';

export interface CallFailure {
  /** Undefined when there was no answer at all. */
  readonly status: number | undefined;
  /** In the words of the server or of the network. */
  readonly reason: string;
}

/** One line: where, what, and the way out. */
export function describeFailure({ status, reason }: CallFailure, url: string): string {
  const { origin, pathname } = new URL(url);
  const what = oneLine(reason);
  if (status === undefined) {
    const remedy = /redirect/.test(what)
      ? 'give the URL that it leads to'
      : 'is the server running there?';
    return `no answer from ${origin}${pathname}: ${what}; ${remedy}`;
  }
  if (status < 400) {
    return `the answer of ${origin}${pathname} (${status}) is no whole reply: ${what}; is that a webhook? Then the server's log says more`;
  }
  return `${origin}${pathname} refused: ${what}; ${remedyFor(status)}`;
}

function remedyFor(status: number): string {
  switch (status) {
    case 401:
      return 'the server has another webhook secret (see --secret), or a clock is wrong';
    case 404:
    case 405:
      return 'is that the path of a webhook? See --url and AGENT_ROUTE';
    case 413:
      return 'say less, or raise the server\'s MAX_BODY_BYTES';
    case 429:
    case 503:
      return 'try again in a moment';
    default:
      return status >= 500 ? 'the server\'s log says more' : 'is that the URL of a webhook?';
  }
}
