import type { Redaction } from '../redaction/redaction.ts';
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
