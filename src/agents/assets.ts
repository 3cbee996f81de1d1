import { readFileSync } from 'node:fs';

/** A file of the package's `prompts/`, without the line break at its end. The path is the same from src/ and from dist/. */
export function readPrompt(name: string): string {
  return readFileSync(new URL(`../../prompts/${name}.txt`, import.meta.url), 'utf8').trimEnd();
}

/** A file of the package's `data/`, as it was checked when it was written. */
export function readData<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../data/${name}.json`, import.meta.url), 'utf8')) as T;
}
