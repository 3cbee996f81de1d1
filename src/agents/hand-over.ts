// What a tool returns so that the conversation goes on with another agent.

import type { JsonObject } from '../layercode/fields.ts';

/** Made by `handOver`. */
export class HandOver {
  /** The name that the agent is served under. */
  readonly agent: string;

  constructor(agent: string) {
    this.agent = agent;
  }

  /** What the model and the browser are told. */
  toJSON(): JsonObject {
    return { status: 'handed over', agent: this.agent };
  }
}

/**
 * Hands the conversation over to another agent of the same server, if it is returned from a tool's
 * `run`. That agent speaks in the same turn, and in all later ones. `agent` is its name in `AGENTS`
 * or `createApp`. Throws a `TypeError` for what is no name.
 */
export function handOver(agent: string): HandOver {
  if (typeof agent === 'string' && agent !== '') return new HandOver(agent);
  const given = agent === '' ? 'an empty string' : typeof agent;
  throw new TypeError(`handOver takes the name of an agent, got ${given}`);
}
