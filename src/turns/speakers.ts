import type { Agent } from '../agents/agent.ts';
import { redactorsIn } from '../redaction/finder.ts';

/** The agents that may speak in the turns of one path. */
export class Speakers {
  /** The path's own agent. It speaks unless the conversation was handed over. */
  readonly own: Agent;
  /** The name that it is served under. Undefined for an app's only agent. */
  readonly ownName: string | undefined;
  /** All agents of the server, by name. */
  readonly all: ReadonlyMap<string, Agent>;

  constructor(own: Agent, ownName?: string, all: ReadonlyMap<string, Agent> = new Map()) {
    this.own = own;
    this.ownName = ownName;
    this.all = all;
  }

  /**
   * The agent of that name, if a conversation can be handed over to it: it has the state of the
   * path's own agent, or none, and redacts nothing that this one does not. Undefined for any other.
   */
  find(name: string): Agent | undefined {
    const agent = this.all.get(name);
    const fits = agent === undefined || (this.sharesState(agent) && this.redactsFor(agent));
    return fits ? agent : undefined;
  }

  /** Whether the agent has the state of the path's own agent, or none. */
  sharesState({ state }: Agent): boolean {
    return state === undefined || state === this.own.state;
  }

  /** Whether the path's own agent redacts what this one wants to have redacted. */
  redactsFor({ redact }: Agent): boolean {
    const own = redactorsIn(this.own.redact);
    return redactorsIn(redact).every((redactor) => own.includes(redactor));
  }

  /** The agent that speaks under a name. Undefined is the name of the path's own agent. */
  named(name: string | undefined): Agent {
    return (name === undefined ? undefined : this.find(name)) ?? this.own;
  }
}
