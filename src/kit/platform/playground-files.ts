import { readFile } from 'node:fs/promises';

import type { Context } from '../../base/http/context.ts';
import { HttpError } from '../../base/http/errors.ts';
import { packageFile } from '../../base/package-files.ts';
import { codeOf } from '../../base/thrown-values.ts';

export const PAGE = 'index.html';

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
};

/**
 * Sends a file of `assets/playground/`, or 404 if the page has no such file. Files are read for
 * each request, so a change shows at once.
 */
export async function pageFile(context: Context, name: string): Promise<void> {
  // A plain file name: nothing that leads out of the folder.
  const type = TYPES[/^[a-z][a-z-]*\.([a-z]+)$/.exec(name)?.[1] ?? ''];
  const text = type === undefined ? undefined : await read(name);
  if (type === undefined || text === undefined) throw new HttpError(404, 'Not found');
  context.text(200, text, type, [
    'cache-control', 'no-cache',
    'x-content-type-options', 'nosniff',
    'referrer-policy', 'no-referrer',
    'cross-origin-opener-policy', 'same-origin',
    'cross-origin-resource-policy', 'same-origin',
    ...(name === PAGE
      ? ['content-security-policy', contentSecurityPolicy(context.header('host') ?? '')]
      : []),
  ]);
}

async function read(name: string): Promise<string | undefined> {
  try {
    return await readFile(packageFile(`assets/playground/${name}`), 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Allows only the page's own files and its socket, which some browsers do not count as 'self'.
 * `host` has been checked: it names this machine.
 */
function contentSecurityPolicy(host: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    `connect-src 'self' ws://${host}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
