// What a tool returns to hand the conversation over to another agent.

import { knowInAnyCopy } from '../../base/any-copy.ts';
import type { JsonObject } from '../../base/json.ts';

/** Made by `handOver`. */
export class HandOver {
  static { knowInAnyCopy(this, 'HandOver'); }
  /** The name the agent is served under. */
  readonly agent: string;

  constructor(agent: string) {
    this.agent = agent;
  }

  /** What the model and the browser see as the tool's result. */
  toJSON(): JsonObject {
    return { status: 'handed over', agent: this.agent };
  }
}

/**
 * Return this from a tool's `run` to hand the conversation over to another agent on the same
 * server. That agent speaks in the same turn and in all later ones. `agent` is its name in `AGENTS`
 * or `createApp`. Throws a `TypeError` if `agent` is not a name.
 */
export function handOver(agent: string): HandOver {
  if (typeof agent === 'string' && agent !== '') return new HandOver(agent);
  const given = agent === '' ? 'an empty string' : typeof agent;
  throw new TypeError(`handOver takes the name of an agent, got ${given}`);
}
