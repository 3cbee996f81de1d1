import { HandOverError } from '../tools/tool-hand-over-error.ts';
import type { Speakers } from './speakers.ts';

/**
 * Maximum number of hand-overs in one turn. The next one is refused, and the current agent goes on
 * speaking.
 */
const MAX_HAND_OVERS = 3;

const MAX_SHOWN_LENGTH = 64;

/** The agent that speaks in a turn, and the hand-overs of that turn. */
interface HandOverStanding {
  /** The name of the agent that speaks. */
  readonly speaker: string | undefined;
  /** How often the conversation has been handed over in this turn. */
  readonly count: number;
  /** Whether another call is handing the conversation over. */
  readonly isUnderWay: boolean;
}

/** Throws a `HandOverError` if the conversation cannot be handed over to the agent of that name. */
export function checkHandOver(
  agent: string,
  speakers: Speakers,
  { speaker, count, isUnderWay }: HandOverStanding,
): void {
  const { all } = speakers;
  const next = all.get(agent);
  if (next === undefined) {
    const shown = JSON.stringify(agent.slice(0, MAX_SHOWN_LENGTH));
    const others = all.size === 0 ? 'this one is the only one' : listed(all, speaker);
    throw new HandOverError(
      'ERR_HAND_OVER_AGENT',
      `there is no agent ${shown}; ${others}`,
      `there is no agent of that name; ${others}`,
    );
  }
  if (agent === speaker) throw repeated(`you are the agent "${agent}" yourself`);
  if (!speakers.sharesState(next)) {
    const reason = `the agent "${agent}" has a different state: both must use the same defineState`;
    throw new HandOverError('ERR_HAND_OVER_STATE', reason);
  }
  if (!speakers.redactsFor(next)) {
    const reason = `the agent "${agent}" redacts more than the agent that took the call`;
    throw new HandOverError('ERR_HAND_OVER_REDACT', reason);
  }
  if (isUnderWay) throw repeated('another tool call is already handing the conversation over');
  if (count >= MAX_HAND_OVERS) {
    const most = `the conversation was handed over ${MAX_HAND_OVERS} times in this turn`;
    throw repeated(`${most}, which is the limit: answer the caller yourself`);
  }
}

function listed(agents: Speakers['all'], speaker: string | undefined): string {
  const others = [...agents.keys()].filter((name) => name !== speaker);
  return others.length === 0 ? 'there is no other' : `the others are ${others.join(', ')}`;
}

function repeated(reason: string): HandOverError {
  return new HandOverError('ERR_HAND_OVER_REPEATED', reason);
}
