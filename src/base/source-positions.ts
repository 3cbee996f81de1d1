// Where a line of a stack was written: the build makes few files of many, and their source maps
// say which.

import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';

import { packageFile } from './package-files.ts';

const ROOT = packageFile('').href;
const DIST = packageFile('dist/').href;

/** Of the files of `dist/` that were met in a stack: read then, and not before. */
const maps = new Map<string, SourceMap | undefined>();

/**
 * A line of a stack, such as `at run (file:///…/dist/chunks/app-X.js:12:3)`, with the place of the
 * source: `at run (src/turns/turn.ts:120:9)`. Lines of other files are returned as they are.
 */
export function originalFrame(frame: string): string {
  const [place, file = '', line, column] = /(file:[^\s()]+):(\d+):(\d+)/.exec(frame) ?? [];
  if (place === undefined || !file.startsWith(DIST)) return frame;
  const entry = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1);
  if (entry === undefined || !('originalSource' in entry)) return frame;
  const source = new URL(entry.originalSource, file).href;
  const path = source.startsWith(ROOT) ? source.slice(ROOT.length) : source;
  return frame.replace(place, `${path}:${entry.originalLine + 1}:${entry.originalColumn + 1}`);
}

function mapOf(file: string): SourceMap | undefined {
  if (!maps.has(file)) maps.set(file, readMap(file));
  return maps.get(file);
}

/** Undefined where there is none: the place in `dist/` is still better than nothing. */
function readMap(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(new URL(`${file}.map`), 'utf8')));
  } catch {
    return undefined;
  }
}
