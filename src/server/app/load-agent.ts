import { access, readdir } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { isObject } from '../../base/fields.ts';
import { codeOf, messageOf } from '../../base/thrown-values.ts';
import type { Agent } from '../../core/agents/agent.ts';
import { AgentError, getAgent } from '../../core/agents/built-in/registry.ts';
import { defineAgent, type AgentDefinition } from '../../core/agents/define-agent.ts';

const EXTENSION = /\.[cm]?[jt]s$/;

/** What V8 says if an ES module is read as CommonJS. */
const READ_AS_COMMONJS =
  /^Cannot use import statement outside a module|^Unexpected token 'export'/;

/**
 * Loads a built-in agent by name, or the default export of a module by path (with a slash, or
 * ending in .js, .mjs or .ts), relative to `directory`. Loads TypeScript if Node can (22.18 and
 * later, or with a loader). Rejects with an `AgentError`.
 */
export async function loadAgent(
  nameOrPath: string,
  directory: string = process.cwd(),
): Promise<Agent> {
  if (!/[/\\]/.test(nameOrPath) && !EXTENSION.test(nameOrPath)) return getAgent(nameOrPath);
  const path = resolve(directory, nameOrPath);
  try {
    await access(path);
  } catch (cause) {
    const reason = codeOf(cause) === 'ENOENT' ? await absenceOf(path) : messageOf(cause);
    throw new AgentError(`cannot read agent module ${path}: ${reason}`, { cause });
  }
  let loaded: { readonly default?: unknown };
  try {
    const { href } = pathToFileURL(path);
    loaded = (await import(/* webpackIgnore: true */ href)) as { readonly default?: unknown };
  } catch (cause) {
    const { failingPlace } = await import('./failing-place.ts');
    const place = failingPlace(cause);
    const reason = `${place === undefined ? '' : `${place}: `}${messageOf(cause)}`;
    const hint = hintOf(cause, path);
    throw new AgentError(`agent module ${path} failed to load: ${reason}${hint}`, { cause });
  }
  const agent = compiledDefault(loaded.default);
  if (agent === undefined)
    throw new AgentError(
      `agent module ${path} has no default export; write "export default defineAgent({ … })"`,
    );
  try {
    return defineAgent(agent as AgentDefinition); // checks every field
  } catch (cause) {
    throw new AgentError(`agent module ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Compilers to CommonJS make `export default` a property, and mark `module.exports`. */
function compiledDefault(exported: unknown): unknown {
  return isObject(exported) && exported['__esModule'] === true ? exported['default'] : exported;
}

/** Names the modules beside it that differ only in their extension. */
async function absenceOf(path: string): Promise<string> {
  const stem = (name: string): string => name.replace(EXTENSION, '');
  const files = await readdir(dirname(path)).catch(() => []);
  const meant = files.filter((name) =>
    EXTENSION.test(name) && stem(name) === stem(basename(path))).sort().join(' or ');
  return `there is no such file${meant === '' ? '' : `; did you mean ${meant}?`}`;
}

function hintOf(error: unknown, path: string): string {
  if (isUnknownExtension(error)) {
    const { node } = process.versions;
    return `; Node ${node} does not load TypeScript: compile it, or use Node 22.18 or later`;
  }
  if (codeOf(error) === 'ERR_REQUIRE_ESM')
    return '; or use Node 20.19, 22.12 or later, in which require() loads ES modules';
  const isReadAsCommonJs = error instanceof SyntaxError && READ_AS_COMMONJS.test(error.message);
  const name = path.endsWith('ts') ? '.mts' : '.mjs';
  return isReadAsCommonJs ? `; name it ${name}, or run: npm pkg set type=module` : '';
}

function isUnknownExtension(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ERR_UNKNOWN_FILE_EXTENSION' || code === 'ERR_UNKNOWN_MODULE_FORMAT';
}
