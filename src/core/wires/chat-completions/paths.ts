/**
 * What can be posted to or read below an agent's path, and what serves it. People enter either form
 * of a URL, with a final slash or without one.
 */
export const BELOW_AGENT = [
  ['/', 'POST', 'completions'],
  ['/chat/completions', 'POST', 'completions'],
  ['/chat/completions/', 'POST', 'completions'],
  ['/v1/chat/completions', 'POST', 'completions'],
  ['/v1/chat/completions/', 'POST', 'completions'],
  ['/models', 'GET', 'models'],
  ['/v1/models', 'GET', 'models'],
  ['/events', 'POST', 'reports'],
] as const;
