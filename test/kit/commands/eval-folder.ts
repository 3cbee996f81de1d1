import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { evalCommand } from '../../../src/kit/commands/eval.ts';
import { newFolder } from '../../fixtures/folder.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

/** A folder with scenarios in evals/. */
export class EvalFolder {
  readonly directory = newFolder();

  constructor(files: Readonly<Record<string, string>>) {
    mkdirSync(join(this.directory, 'evals'));
    for (const [name, text] of Object.entries(files)) this.write(name, text);
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.directory, 'evals', name), text);
  }

  read(name: string): string {
    return readFileSync(join(this.directory, 'evals', name), 'utf8');
  }

  has(name: string): boolean {
    return existsSync(join(this.directory, 'evals', name));
  }

  async run(
    argv: readonly string[], environment: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly code: number; readonly out: string }> {
    const terminal = new RecordedTerminal(environment, this.directory);
    return { code: await evalCommand.run(argv, terminal), out: terminal.out };
  }
}
