import { readFileSync } from 'node:fs';

import { packageFile } from '../../base/package-files.ts';

/** The text of a file of `assets/prompts/` or `assets/data/`. In `dist/` the texts are inside. */
export function assetText(path: string): string {
  return readFileSync(packageFile(`assets/${path}`), 'utf8');
}
