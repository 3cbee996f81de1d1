// npm run settings: writes what docs/settings.md and .env.example say about the settings.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { envExample, settingsPage } from '../test/fixtures/settings-pages.ts';
import { ROOT } from '../test/fixtures/source-files.ts';

const FILES = [['docs/settings.md', settingsPage], ['.env.example', envExample]] as const;
for (const [file, rewritten] of FILES) {
  const path = join(ROOT, file);
  writeFileSync(path, rewritten(readFileSync(path, 'utf8')));
}
