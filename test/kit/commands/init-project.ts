import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { init } from '../../../src/kit/commands/init.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

export const FILES = [
  '.dockerignore',
  '.env.example',
  '.gitignore',
  'Dockerfile',
  'README.md',
  'agent.test.ts',
  'agent.ts',
  'evals/hours.txt',
  'evals/order.txt',
  'evals/trouble.txt',
  'package.json',
  'tsconfig.json',
];

export interface Manifest {
  readonly name: string;
  readonly private: boolean;
  readonly engines: object;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

export async function run(
  directory: string, ...argv: string[]
): Promise<{ readonly code: number; readonly stdout: string }> {
  const terminal = new RecordedTerminal({}, directory);
  return { code: await init.run(argv, terminal), stdout: terminal.out };
}

export function read(directory: string, name: string): string {
  return readFileSync(join(directory, name), 'utf8');
}

export function manifestIn(directory: string): Manifest {
  return JSON.parse(read(directory, 'package.json')) as Manifest;
}
