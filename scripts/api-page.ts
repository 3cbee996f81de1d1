// npm run api: writes what docs/api.md says about each export.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { apiPage } from '../test/fixtures/api-page.ts';
import { ROOT } from '../test/fixtures/source-files.ts';

const path = join(ROOT, 'docs/api.md');
writeFileSync(path, apiPage(readFileSync(path, 'utf8')));
