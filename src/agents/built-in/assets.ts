import { readFileSync } from 'node:fs';

import { packageFile } from '../../base/package-files.ts';

/** A prompt from the package's `assets/prompts/`, without its final line break. */
export function readPrompt(name: string): string {
  return readFileSync(packageFile(`assets/prompts/${name}.txt`), 'utf8').trimEnd();
}

/** Data from the package's `assets/data/`. It is not checked here: it ships with the package. */
export function readData<T>(name: string): T {
  return JSON.parse(readFileSync(packageFile(`assets/data/${name}.json`), 'utf8')) as T;
}
