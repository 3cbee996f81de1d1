import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { newFolder } from '../../fixtures/folder.ts';
import { SpawnedServer } from '../../fixtures/spawned-server.ts';

const CLI = join(import.meta.dirname, '../../../dist/cli.js');

/** Runs the built `eval` to its end, in a folder with these files. */
export async function evalIn(
  files: Readonly<Record<string, string>>, ...argv: string[]
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const directory = newFolder();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  const server = new SpawnedServer({ argv: ['eval', ...argv], server: CLI, directory });
  const { code } = await server.exit;
  return { code, stdout: server.stdout, stderr: server.stderr };
}
