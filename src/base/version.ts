import { readFileSync } from 'node:fs';

import { packageFile } from './package-files.ts';

/** The package's version. In `dist/` it is a constant. */
export const version: string = (
  JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string }
).version;
