import type { ChatMessage } from '../../models/model.ts';
import { Watchers } from '../platform/watchers.ts';
import type { PlayedTurn, Tokens, ToolRunSeen } from './result.ts';
import { turnText } from './sent-request.ts';
import type { RunId, Sight } from './sight.ts';

type Run = { -readonly [Field in keyof ToolRunSeen]: ToolRunSeen[Field] };

/** What was seen during one delivery of a turn. A tool may go on after it. */
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

/** Writes down what is seen of the agent's side, by the delivery in which it began. */
export class Notebook {
  readonly #entries: Entry[] = [];
  readonly #runs = new Map<RunId, Run>();
  readonly watchers = new Watchers();
  /** Tools with effects that were called although nothing says what they may do. */
  readonly barred = new Set<string>();
  /** How often a scripted model was asked once more than there are answers. */
  unscripted = 0;
  #held: Extract<Sight, { readonly type: 'tool-held' }> | undefined;

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

  /** Whether a run that `counts` goes on. */
  isRunning(counts: (tool: string) => boolean): boolean {
    return [...this.#runs.values()].some(({ tool, state }) => state === 'running' && counts(tool));
  }

  readonly take = (sight: Sight): void => {
    const entry = this.#entries.at(-1);
    if (entry === undefined) return;
    switch (sight.type) {
      case 'tool': {
        const { id, tool, args, onceKey } = sight;
        const run: Run = {
          tool, args, onceKey, state: 'running', result: undefined, hasActed: true,
        };
        this.#runs.set(id, run);
        entry.tools.push(run);
        break;
      }
      case 'tool-refused':
        entry.tools.push(sight.run);
        break;
      case 'tool-over': {
        const { id, state, result, hasActed } = sight;
        const run = this.#runs.get(id);
        if (run !== undefined) Object.assign(run, { state, result, hasActed });
        break;
      }
      case 'tool-held':
        this.#held = sight;
        break;
      case 'tool-barred':
        this.barred.add(sight.tool);
        break;
      case 'killed':
        this.#lose(sight.process);
        break;
      case 'asked':
        entry.prompts.push(sight.messages);
        entry.sent.push(sight.sent);
        break;
      case 'unscripted':
        this.unscripted += 1;
        break;
      case 'used':
        entry.tokens = addTokens(entry.tokens, sight.tokens);
        break;
      case 'cut':
        entry.isCut = true;
        break;
      case 'logged':
        entry.log.push(sight.line);
        break;
      default:
        sight satisfies never;
    }
    this.watchers.changed();
  };

  #lose(process: number): void {
    for (const id of this.#runs.keys()) if (id.startsWith(`${process}.`)) this.#runs.delete(id);
  }
}
