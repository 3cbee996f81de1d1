import type { TestContext } from 'node:test';
import { stripVTControlCharacters } from 'node:util';

import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import { talk } from '../../../src/kit/commands/talk.ts';
import {
  deferred,
  fired,
  SECRET,
  serve,
  until,
  within,
  type ServeOptions,
  type TestAgent,
} from '../../fixtures/app.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

export function openTerminal(
  environment: Readonly<Record<string, string>> = {},
): RecordedTerminal {
  return new RecordedTerminal({ LAYERCODE_WEBHOOK_SECRET: SECRET, ...environment });
}

interface PersonOptions extends ServeOptions {
  /** Variables of the terminal's environment. */
  readonly terminal?: Readonly<Record<string, string>>;
  readonly columns?: number;
}

/** A person at a terminal, and an agent. */
export class Person {
  readonly #terminal: RecordedTerminal;
  readonly exitCode: Promise<number>;
  #seen = 0;

  constructor(terminal: RecordedTerminal, argv: readonly string[]) {
    this.#terminal = terminal;
    this.exitCode = within(talk.run(argv, terminal), 'the talk to end', 3_000);
    this.exitCode.catch(() => undefined); // told to whoever awaits it
  }

  static async talksTo(
    t: TestContext,
    agent: TestAgent,
    { terminal: environment, columns, ...options }: PersonOptions = {},
  ): Promise<Person> {
    const { client } = serve(t, agent, options);
    const terminal = openTerminal(environment);
    for (const stream of [terminal.stdin, terminal.stdout, terminal.stderr]) {
      Object.assign(stream, { isTTY: true, columns });
    }
    return new Person(terminal, ['--url', await client.origin()]);
  }

  /** Everything that was written, unchanged. */
  get raw(): string {
    return this.#terminal.out;
  }

  /** Everything that was written, without colours and movements of the cursor. */
  get out(): string {
    return stripVTControlCharacters(this.raw).replaceAll('\r', '');
  }

  type(keys: string): void {
    this.#terminal.stdin.write(keys);
  }

  /** Types the line once there is a prompt. */
  async says(line: string): Promise<void> {
    await this.endsWith('you  › ');
    this.type(`${line}\r`);
  }

  /** Hangs up with Ctrl-D. */
  hangUp(): Promise<number> {
    this.type('\u0004');
    return this.exitCode;
  }

  interrupt(): void {
    this.#terminal.interrupt();
  }

  /** Waits until this text has been written after the text that was seen before. */
  async sees(text: string): Promise<void> {
    await until(
      () => this.out.indexOf(text, this.#seen) !== -1,
      `${JSON.stringify(text)} in ${JSON.stringify(this.out.slice(this.#seen))}`,
    );
    this.#seen = this.out.indexOf(text, this.#seen) + text.length;
  }

  /** Like `sees`, but for text that comes last and stays. */
  async endsWith(text: string): Promise<void> {
    await until(
      () => this.out.endsWith(text),
      `${JSON.stringify(text)} at the end of ${JSON.stringify(this.out)}`,
    );
    this.#seen = this.out.length;
  }
}

/** Begins a story, and continues when told to. Its turns are noted. */
export function storyteller() {
  const turns: MessageTurn[] = [];
  const goOn = deferred();
  const agent: TestAgent = {
    async *onMessage(turn) {
      turns.push(turn);
      if (turn.text !== 'story') {
        yield 'As you like.';
        return;
      }
      yield 'Once upon a time';
      await Promise.race([goOn.promise, fired(turn.signal)]);
      yield ' there was an end.';
    },
  };
  return { agent, turns, goOn: () => goOn.resolve() };
}
