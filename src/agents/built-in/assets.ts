import { readFileSync } from 'node:fs';

import { packageFile } from '../../base/package-files.ts';

/** A file of the package's `assets/prompts/`, without the line break at its end. */
export function readPrompt(name: string): string {
  return readFileSync(packageFile(`assets/prompts/${name}.txt`), 'utf8').trimEnd();
}

/** A file of the package's `assets/data/`, as it was checked when it was written. */
export function readData<T>(name: string): T {
  return JSON.parse(readFileSync(packageFile(`assets/data/${name}.json`), 'utf8')) as T;
}
