// What the models of talks share: gates at which agents and tools wait, what becomes of a call,
// scripted models, and the record of what happened.

import type { Agent, BoundAgent } from '../../../src/core/agents/agent.ts';
import type { ChatModel } from '../../../src/core/models/model.ts';
import { NotDone } from '../../../src/core/tools/tool-not-done.ts';

const QUIET_ROUNDS = 6;

export function nextRound(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function chosen<T>(choices: readonly T[], pick: number): T | undefined {
  return choices[Math.floor(pick * choices.length)];
}

/** A talk went wrong. The message has the transcript. */
export class TalkError extends Error {
  override readonly name = 'TalkError';
  readonly wrongs: readonly string[];

  constructor(head: string, wrongs: readonly string[], transcript: readonly string[]) {
    const listed = wrongs.map((wrong) => `- ${wrong}`);
    super([`${head}:`, ...listed, 'What happened:', ...transcript].join('\n'));
    this.wrongs = wrongs;
  }
}

/** What happened in a talk, and what is wrong with it. */
export class TalkRecord {
  readonly wrongs: string[] = [];
  readonly #head: string;
  readonly #transcript: string[] = [];

  constructor(head: string) {
    this.#head = head;
  }

  note(line: string): void {
    this.#transcript.push(line);
  }

  /** Records what is wrong with a history, together with the history. */
  judge(wrongs: Iterable<string>, history: readonly unknown[], ...more: readonly unknown[]): void {
    const found = [...wrongs];
    this.wrongs.push(...found);
    if (found.length === 0) return;
    this.note('history:');
    for (const message of [...history, ...more]) this.note(`  ${JSON.stringify(message)}`);
  }

  check(): void {
    if (this.wrongs.length > 0) throw new TalkError(this.#head, this.wrongs, this.#transcript);
  }

  /** Plays, and calls `end` in any case. An unhandled rejection counts as wrong. */
  async during(play: () => Promise<void>, end: () => Promise<void>): Promise<void> {
    const onUnhandled = (reason: unknown): void =>
      void this.wrongs.push(`an unhandled rejection: ${String(reason)}`);
    process.on('unhandledRejection', onUnhandled);
    try {
      await play();
    } finally {
      await end();
      process.off('unhandledRejection', onUnhandled);
    }
  }
}

/** Knows whether anything is happening. */
export class Activity {
  #count = 0;

  /** Something has happened, so it is not quiet yet. */
  readonly news = (): void => {
    this.#count += 1;
  };

  /** Resolves when nothing happens any more, apart from what the talk holds up. */
  async quiet(isBusy: () => boolean, afterRound?: () => void): Promise<void> {
    let seen = -1;
    for (let still = 0; still < QUIET_ROUNDS;) {
      await nextRound();
      still = isBusy() || seen !== this.#count ? 0 : still + 1;
      seen = this.#count;
      afterRound?.();
    }
  }
}

/** A place where an agent or a tool waits until the talk lets it go on. */
export interface Gate {
  readonly what: string;
  readonly open: () => void;
}

export class Gates {
  #waiting: Gate[] = [];
  #isOver = false;

  /** Waits until the talk opens the gate. Rejects if the signal fires. */
  wait(what: string, signal: AbortSignal | undefined, isDead = false): Promise<void> {
    return new Promise((resolve, reject) => {
      const gate: Gate = { what, open: resolve };
      if (isDead || this.#isOver) resolve();
      else this.#waiting.push(gate);
      const left = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== gate);
        reject(signal?.reason);
      };
      if (signal?.aborted === true) left();
      signal?.addEventListener('abort', left, { once: true });
    });
  }

  /** Takes one of the waiting gates, which waits no longer. */
  take(pick: number): Gate | undefined {
    const gate = chosen(this.#waiting, pick);
    this.#waiting = this.#waiting.filter((other) => other !== gate);
    return gate;
  }

  takeAll(): readonly Gate[] {
    return this.#waiting.splice(0);
  }

  /** Lets everything that waits go on. */
  openAll(): void {
    for (const gate of this.takeAll()) gate.open();
  }

  /** Lets everything that waits go on. From now on nothing waits. */
  end(): void {
    this.#isOver = true;
    this.openAll();
  }
}

/** What becomes of a call once it has begun. It ends at once, or when the talk lets it. */
export interface ToolFate {
  readonly waits: boolean;
  readonly ends: 'returns' | 'throws' | 'does nothing';
}

/** A call that acts. */
export interface Acting {
  /** Counts all acts of a talk. */
  readonly n: number;
  ended: 'not yet' | 'returned' | 'threw' | 'did nothing' | 'interrupted';
  /** JSON text for the model, once the act has a result of its own. */
  result: string | undefined;
}

/** Ends the act as it is fated to. `call`: the tool and its arguments. */
export async function endAct(
  act: Acting,
  call: string,
  { waits, ends }: ToolFate,
  wait: (what: string) => Promise<void>,
  note: (line: string) => void,
): Promise<unknown> {
  try {
    if (waits) await wait(`act ${act.n} goes on`);
  } catch (error) {
    act.ended = 'interrupted';
    note(`  act ${act.n} is interrupted`);
    throw error;
  }
  const message = `act ${act.n} ${ends}`;
  note(`  ${message}`);
  const returned = { done: call, act: act.n };
  act.result = JSON.stringify(ends === 'returns' ? returned : { error: message });
  act.ended = ends === 'returns' ? 'returned' : ends === 'throws' ? 'threw' : 'did nothing';
  if (ends === 'returns') return returned;
  throw ends === 'throws' ? new Error(message) : new NotDone(message);
}

export function modelOf(name: string, stream: ChatModel['stream']): ChatModel {
  return {
    name: `scripted:${name}`, stream, warm: () => Promise.resolve(), problems: () => [],
    isUsable: () => true,
  };
}

/** An agent with a prompt, whose hook the talk gets hold of. */
export function heldBy(
  agent: Agent,
  hold: (onMessage: BoundAgent['onMessage']) => BoundAgent['onMessage'],
  more: Partial<Pick<Agent, 'onSessionStart'>> = {},
): Agent {
  return {
    ...agent,
    ...more,
    bind: (resources) => {
      if (agent.bind === undefined) throw new Error('an agent with a prompt is bound to a model');
      const bound = agent.bind(resources);
      return { ...bound, ...more, onMessage: hold(bound.onMessage) };
    },
  };
}
