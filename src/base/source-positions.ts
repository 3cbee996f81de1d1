// Maps a line of a stack trace to the source file. The build bundles many files into a few; their
// source maps know the origin.

import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';

import { packageRoot } from './package-files.ts';

/** The source maps of the files in `dist/` that a stack trace has named so far. */
const maps = new Map<string, SourceMap | undefined>();

/**
 * One line of a stack trace with its place in the source: `at run
 * (file:///…/dist/chunks/app-X.js:12:3)` becomes `at run (src/core/turns/turns.ts:120:9)`. Lines of
 * other files are returned unchanged.
 */
export function originalFrame(frame: string): string {
  const [place, file = '', line, column] = /(file:[^\s()]+):(\d+):(\d+)/.exec(frame) ?? [];
  const root = packageRoot()?.href;
  if (place === undefined || root === undefined || !file.startsWith(`${root}dist/`)) return frame;
  const entry = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1);
  if (entry === undefined || !('originalSource' in entry)) return frame;
  const source = new URL(entry.originalSource, file).href;
  const path = source.startsWith(root) ? source.slice(root.length) : source;
  return frame.replace(place, `${path}:${entry.originalLine + 1}:${entry.originalColumn + 1}`);
}

function mapOf(file: string): SourceMap | undefined {
  if (!maps.has(file)) maps.set(file, readMap(file));
  return maps.get(file);
}

/** Undefined if there is no map. The place in `dist/` is still better than nothing. */
function readMap(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(new URL(`${file}.map`), 'utf8')));
  } catch {
    return undefined;
  }
}
