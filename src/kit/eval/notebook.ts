import type { ChatMessage } from '../../core/models/model.ts';
import { Watchers } from '../platform/watchers.ts';
import type { PlayedTurn, Tokens, ToolRunSeen } from './result.ts';
import { turnText } from './sent-request.ts';

/** What the agent's side reports. All arguments are plain JSON: it may be in another process. */
export type Notes = Pick<
  Notebook,
  | 'toolBegan' | 'toolOver' | 'toolRefused' | 'toolHeld' | 'toolBarred' | 'killed' | 'asked'
  | 'unscripted' | 'cut' | 'used' | 'logged'
>;

/** Distinguishes runs of tools, even in several processes: the process's id comes first. */
type RunId = `${number}.${number}`;

type Run = { -readonly [Field in keyof ToolRunSeen]: ToolRunSeen[Field] };

/** What was seen during one delivery of a turn. A tool may still be running after it. */
class Entry {
  readonly tools: Run[] = [];
  readonly prompts: (readonly ChatMessage[])[] = [];
  readonly sent: string[] = [];
  readonly log: string[] = [];
  tokens: Tokens | undefined;
  isCut = false;
}

export function addTokens(
  known: Tokens = { input: 0, output: 0, cost: 0 }, { input, output, cost }: Tokens,
): Tokens {
  return {
    input: known.input + input,
    output: known.output + output,
    cost: cost === undefined || known.cost === undefined ? undefined : known.cost + cost,
  };
}

/** Writes down what happens on the agent's side, under the delivery in which it began. */
export class Notebook {
  readonly #entries: Entry[] = [];
  readonly #runs = new Map<RunId, Run>();
  readonly watchers = new Watchers();
  /** Tools with effects that were called although nothing says what they may do. */
  readonly barred = new Set<string>();
  /** How many times a scripted model was asked when it had no answer left. */
  timesUnscripted = 0;
  #held: { readonly tool: string; readonly isShown: boolean } | undefined;

  /** Begins the entry of the next delivery. */
  turnPage(): void {
    this.#entries.push(new Entry());
    this.#held = undefined;
  }

  pageOf(delivery: number): Pick<PlayedTurn, 'tools' | 'prompts' | 'log' | 'tokens' | 'isCut'> {
    const { tools, prompts, log, tokens, isCut } = this.#entries[delivery] ?? new Entry();
    const runs = tools.map((run) => ({ ...run }));
    return { tools: runs, prompts: [...prompts], log: [...log], tokens, isCut };
  }

  /** What models were sent from this delivery on. Undefined if none was asked. */
  sentSince(delivery: number): string | undefined {
    const entries = this.#entries.slice(delivery);
    const sent = entries.flatMap((entry) => entry.sent);
    if (sent.length === 0) return undefined;
    return turnText(sent, entries.flatMap(({ prompts }) => prompts));
  }

  /** Whether a run of the tool is kept from returning. */
  isHeld(tool: string): boolean {
    return this.#held?.tool === tool;
  }

  /** Whether the caller's page knows of that run. */
  get isShown(): boolean {
    return this.#held?.isShown === true;
  }

  /** Whether a tool that `counts` is running. */
  isRunning(counts: (tool: string) => boolean): boolean {
    return [...this.#runs.values()].some(({ tool, state }) => state === 'running' && counts(tool));
  }

  /** A tool, or its mock, begins to run with arguments that fit. */
  toolBegan(id: RunId, begun: Pick<ToolRunSeen, 'tool' | 'args' | 'onceKey' | 'key'>): void {
    const run: Run = { ...begun, state: 'running', result: undefined, hasActed: true };
    this.#runs.set(id, run);
    this.#note(({ tools }) => tools.push(run));
  }

  toolOver(
    id: RunId,
    outcome: Pick<ToolRunSeen, 'state' | 'result' | 'hasActed' | 'isCut'>,
  ): void {
    this.#note(() => Object.assign(this.#runs.get(id) ?? {}, outcome));
  }

  /** A call was refused, so its tool did not run. */
  toolRefused(run: ToolRunSeen): void {
    this.#note(({ tools }) => tools.push(run));
  }

  /**
   * A run is kept from returning until the stage lets it go on. `isShown`: the caller's page knows
   * that it is running.
   */
  toolHeld(tool: string, isShown: boolean): void {
    this.#note(() => (this.#held = { tool, isShown }));
  }

  /** A tool with effects was called although nothing says what it may do. It did not run. */
  toolBarred(tool: string): void {
    this.#note(() => this.barred.add(tool));
  }

  /** The process with this id is killed: runs that were under way in it are lost. */
  killed(process: number): void {
    const lost = [...this.#runs.keys()].filter((id) => id.startsWith(`${process}.`));
    this.#note(() => {
      for (const id of lost) {
        Object.assign(this.#runs.get(id) ?? {}, { isCut: true });
        this.#runs.delete(id);
      }
    });
  }

  /** `rest`: the rest of the request, for a golden file; empty if there is none. */
  asked(messages: readonly ChatMessage[], rest: string): void {
    this.#note(({ prompts, sent }) => {
      prompts.push(messages);
      sent.push(rest);
    });
  }

  /** A scripted model was asked when it had no answer left. */
  unscripted(): void {
    this.#note(() => (this.timesUnscripted += 1));
  }

  /** An answer was cut at the model's limit. */
  cut(): void {
    this.#note((entry) => (entry.isCut = true));
  }

  used(tokens: Tokens): void {
    this.#note((entry) => (entry.tokens = addTokens(entry.tokens, tokens)));
  }

  logged(line: string): void {
    this.#note(({ log }) => log.push(line));
  }

  #note(write: (entry: Entry) => unknown): void {
    const entry = this.#entries.at(-1);
    if (entry === undefined) return;
    write(entry);
    this.watchers.changed();
  }
}
