import type { Redaction } from '../redaction/redaction.ts';
import { HandOverError } from '../tools/tool-hand-over-error.ts';
import type { Agent, BoundAgent } from './agent.ts';

/** The agents that may speak in the turns of one path. */
export class Speakers {
  /** The path's own agent. It speaks unless the conversation has been handed over. */
  readonly own: BoundAgent;
  /** The name it is served under. Undefined for an app's only agent. */
  readonly ownName: string | undefined;
  /** All agents of the server, by name. */
  readonly all: ReadonlyMap<string, BoundAgent>;
  readonly #redaction: Pick<Redaction, 'covers'> | undefined;

  /** `redaction`: that of the path's own agent. Default: it redacts nothing. */
  constructor(
    own: BoundAgent,
    ownName?: string,
    all: ReadonlyMap<string, BoundAgent> = new Map(),
    redaction?: Pick<Redaction, 'covers'>,
  ) {
    this.own = own;
    this.ownName = ownName;
    this.all = all;
    this.#redaction = redaction;
  }

  /**
   * The agent of that name, if a conversation can be handed over to it: it has the same state as
   * the path's own agent, or none, and redacts nothing that the latter does not. Otherwise
   * undefined.
   */
  find(name: string): BoundAgent | undefined {
    const agent = this.all.get(name);
    const fits = agent === undefined || (this.sharesState(agent) && this.redactsFor(agent));
    return fits ? agent : undefined;
  }

  /** Whether the agent has the same state as the path's own agent, or none. */
  sharesState({ state }: BoundAgent): boolean {
    return state === undefined || state === this.own.state;
  }

  /** Whether the path's own agent redacts what this one wants to have redacted. */
  redactsFor({ redact }: BoundAgent): boolean {
    const isNothing = redact === undefined || [redact].flat().length === 0;
    return isNothing || this.#redaction?.covers(redact) === true;
  }

  /** The name to log: the one that the agent is served under, otherwise its own. */
  nameOf(agent: Agent): string {
    if (agent === this.own) return this.ownName ?? agent.name;
    for (const [name, one] of this.all) if (one === agent) return name;
    return agent.name;
  }

  /** The agent that speaks under a name. */
  named(name: string): BoundAgent {
    return this.find(name) ?? this.own;
  }
}

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
    const reason = `the agent "${agent}" has another state: both must use the same defineState`;
    throw new HandOverError('ERR_HAND_OVER_STATE', reason);
  }
  if (!speakers.redactsFor(next)) {
    const reason = `the agent "${agent}" redacts more than the agent that took the call`;
    throw new HandOverError('ERR_HAND_OVER_REDACT', reason);
  }
  if (isUnderWay) throw repeated('another call is already handing the conversation over');
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
