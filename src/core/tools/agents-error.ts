/**
 * Agents that cannot be served, or cannot be served together. Their author can fix that, so a
 * server reports it in one line: see its `code`. In a library it is a `TypeError` like any other.
 */
export class AgentsError extends TypeError {
  readonly code = 'ERR_AGENTS';
}
