import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { newFolder } from '../../fixtures/folder.ts';
import { SpawnedServer, type SpawnOptions } from '../../fixtures/spawned-server.ts';

const CLI = join(import.meta.dirname, '../../../dist/cli.js');

interface Played {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built `eval` to its end, in a folder with these files. */
export async function evalIn(
  files: Readonly<Record<string, string>>, ...argv: string[]
): Promise<Played> {
  const directory = newFolder();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return evalAt({ directory, argv });
}

/** Runs it in a folder that is there. */
export async function evalAt({ argv = [], ...options }: SpawnOptions): Promise<Played> {
  const server = new SpawnedServer({ argv: ['eval', ...argv], server: CLI, ...options });
  const { code } = await server.exit;
  return { code, stdout: server.stdout, stderr: server.stderr };
}
