// Finds the line at which a module failed to load.

import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';

import { packageRoot } from '../../base/package-files.ts';
import { framesOf } from '../../base/thrown-values.ts';

/**
 * A line of a stack that names a file, by its path or URL. Lines from `node:` and `eval` do not.
 */
const FRAME = /(?:\(|at |async )((?:file:\/\/\/|\/|[A-Z]:[\\/])[^<]*):(\d+):\d+\)?$/;
/** The first line of a stack if the code follows: a syntax error. */
const ABOVE_CODE = /^((?:file:\/\/\/|\/|[A-Z]:[\\/]).*):(\d+)\r?\n/;

/**
 * The file and line, as `path:line`: those of a syntax error, otherwise of the first call that is
 * neither in Node, in this package nor in another one. Undefined if there is none.
 */
export function failingPlace(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const place = error instanceof SyntaxError ? placeOfSyntaxError(error) : undefined;
  return place ?? framesBelowLoader(error).map(placeOfFrame).find((found) => found !== undefined);
}

/**
 * For a syntax error in an ES module, Node keeps the place to itself until the error leaves a
 * script, and then writes it into the stack: `DecorateErrorStack` in its src/node_contextify.cc.
 */
function placeOfSyntaxError(error: SyntaxError): string | undefined {
  if (!ABOVE_CODE.test(String(error.stack))) {
    try {
      runInNewContext('throw error', { error });
    } catch {
      // It is the same error.
    }
  }
  const [, file, line] = ABOVE_CODE.exec(String(error.stack)) ?? [];
  return file === undefined ? undefined : `${pathOf(file)}:${line}`;
}

/** Without the calls that led to `loadAgent`. */
function framesBelowLoader(error: Error): string[] {
  const frames = framesOf(error);
  const loader = frames.findIndex((frame) => /\bloadAgent \(/.test(frame));
  return loader === -1 ? frames : frames.slice(0, loader);
}

function placeOfFrame(frame: string): string | undefined {
  const [, file, line] = FRAME.exec(frame) ?? [];
  if (file === undefined) return undefined;
  const path = pathOf(file);
  const root = packageRoot();
  const ours = root === undefined ? [] : ['dist/', 'src/'].map((folder) => new URL(folder, root));
  const isForeign = /[\\/]node_modules[\\/]/.test(path);
  return isForeign || ours.some((folder) => path.startsWith(fileURLToPath(folder)))
    ? undefined
    : `${path}:${line}`;
}

function pathOf(file: string): string {
  return file.startsWith('file:') ? fileURLToPath(file) : file;
}
