// Whether a conversation can be handed over to another agent. Loaded when a tool asks for it.

import type { Agent } from '../agents/agent.ts';

/** Hand-overs in one turn. Beyond them the agent that speaks goes on. */
export const MAX_HAND_OVERS = 3;

const MAX_SHOWN_LENGTH = 64;

type Code = 'ERR_HAND_OVER_AGENT' | 'ERR_HAND_OVER_STATE' | 'ERR_HAND_OVER_REPEATED';

/** The conversation stays with the agent that it has. The model is told why. */
export class HandOverError extends Error {
  override readonly name = 'HandOverError';
  readonly code: Code;

  constructor(code: Code, message: string) {
    super(message);
    this.code = code;
  }
}

/** How things stand in a turn. */
export interface HandOverStanding {
  /** All agents of the server, by their names. */
  readonly agents: ReadonlyMap<string, Agent>;
  /** Those that a conversation of this path can be handed over to. */
  readonly colleague: (name: string) => Agent | undefined;
  /** The agent that speaks. */
  readonly speaker: string | undefined;
  /** How often the turn was handed over. */
  readonly count: number;
  /** Whether another call hands it over just now. */
  readonly isUnderWay: boolean;
}

/** Throws a `HandOverError` if the conversation cannot be handed over to that agent. */
export function checkHandOver(agent: string, standing: HandOverStanding): void {
  const { agents, colleague, speaker, count, isUnderWay } = standing;
  if (!agents.has(agent)) {
    const shown = JSON.stringify(agent.slice(0, MAX_SHOWN_LENGTH));
    const others = agents.size === 0 ? 'this one is the only one' : listed(agents, speaker);
    throw new HandOverError('ERR_HAND_OVER_AGENT', `there is no agent ${shown}; ${others}`);
  }
  if (agent === speaker) throw repeated(`you are the agent "${agent}" yourself`);
  if (colleague(agent) === undefined) {
    const reason = `the agent "${agent}" keeps another state: it must share one defineState`;
    throw new HandOverError('ERR_HAND_OVER_STATE', reason);
  }
  if (isUnderWay) throw repeated('another call hands the conversation over already');
  if (count >= MAX_HAND_OVERS) {
    const most = `the conversation was handed over ${MAX_HAND_OVERS} times in this turn`;
    throw repeated(`${most}, which is the most: answer the caller yourself`);
  }
}

function listed(agents: ReadonlyMap<string, Agent>, speaker: string | undefined): string {
  const others = [...agents.keys()].filter((name) => name !== speaker);
  return others.length === 0 ? 'there is no other' : `there are ${others.join(', ')}`;
}

function repeated(reason: string): HandOverError {
  return new HandOverError('ERR_HAND_OVER_REPEATED', reason);
}
