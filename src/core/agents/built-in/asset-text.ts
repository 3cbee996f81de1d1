import { readFileSync } from 'node:fs';

import { packageFile } from '../../../base/package-files.ts';

/**
 * The text of a file in `assets/prompts/` or `assets/data/`. The build puts the texts into `dist/`.
 */
export function assetText(path: string): string {
  return readFileSync(packageFile(`assets/${path}`), 'utf8');
}
