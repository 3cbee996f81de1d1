/**
 * Agents that cannot be served, or not together. Whoever wrote them can mend that, so a server says
 * it in one line: see its `code`. In a library it is a `TypeError` like any other.
 */
export class AgentsError extends TypeError {
  readonly code = 'ERR_AGENTS';
}
