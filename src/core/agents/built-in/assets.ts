import { assetText } from './asset-text.ts';

/** A prompt from `assets/prompts/`, without its final line break. */
export function readPrompt(name: string): string {
  return assetText(`prompts/${name}.txt`).trimEnd();
}

/** Data from `assets/data/`. It is not checked here: it ships with the package. */
export function readData<T>(name: string): T {
  return JSON.parse(assetText(`data/${name}.json`)) as T;
}
