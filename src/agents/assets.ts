import { readFileSync } from 'node:fs';

import { packageFile } from '../package-files.ts';

/** A file of the package's `prompts/`, without the line break at its end. */
export function readPrompt(name: string): string {
  return readFileSync(packageFile(`prompts/${name}.txt`), 'utf8').trimEnd();
}

/** A file of the package's `data/`, as it was checked when it was written. */
export function readData<T>(name: string): T {
  return JSON.parse(readFileSync(packageFile(`data/${name}.json`), 'utf8')) as T;
}
