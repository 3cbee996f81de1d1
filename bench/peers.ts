import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { newFolder } from '../test/fixtures/folder.ts';

export interface Peer {
  readonly name: string;
  readonly script: string;
}

const SOURCE = fileURLToPath(new URL('peers', import.meta.url));

/** The peers' scripts and their packages. */
export function installPeerFolder(): string {
  const folder = newFolder();
  cpSync(SOURCE, folder, { recursive: true });
  execFileSync('npm', ['ci', '--silent', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return folder;
}

/** Echo agents on other frameworks. */
export function installPeers(): readonly Peer[] {
  const folder = installPeerFolder();
  return [
    { name: 'Fastify', script: join(folder, 'fastify.mjs') },
    { name: 'Express', script: join(folder, 'express.mjs') },
    { name: "Hono, LayerCode's SDK", script: join(folder, 'hono.mjs') },
  ];
}
