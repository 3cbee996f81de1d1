// For esbuild: dist/ loads Node's modules by `require`. An `import` of a built-in module evaluates
// every export, including the lazy ones: in `node:http` all of undici, in `node:fs` its promises
// and readline, in `node:util` the worker threads (https://github.com/nodejs/node/issues/59686).
// `require` evaluates only what is used. docs/decisions/005-tuned-for-v8.md gives the price.

import { readFile } from 'node:fs/promises';

/**
 * All imports of built-in modules, except of types, and of `node:module`, which `require` needs.
 */
const IMPORT = /^import (?!type\b)([^'";]+) from '(node:(?!module')[\w/]+)';$/gm;

/**
 * `process.getBuiltinModule` would need Node 20.16 or 22.3. For built-in modules any absolute path
 * will do, and `import.meta.url` is undefined in bundles that are CommonJS. This uses the default
 * import, because webpack warns about a `createRequire` whose path it cannot know.
 */
const BY_REQUIRE = `import module from 'node:module';
export const byRequire = module.createRequire(process.execPath);
`;

export const builtinsByRequire = {
  name: 'builtins by require',
  setup(build) {
    build.onResolve({ filter: /^by-require$/ }, ({ path }) => ({ path, namespace: path }));
    build.onLoad({ filter: /.*/, namespace: 'by-require' }, () => ({ contents: BY_REQUIRE }));
    build.onLoad({ filter: /\.ts$/, namespace: 'file' }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      const contents = source.replace(IMPORT, requirement);
      // After the source, so that its lines keep their numbers.
      const isChanged = contents !== source;
      return {
        contents: isChanged ? `${contents}import { byRequire } from 'by-require';\n` : source,
        loader: 'ts',
      };
    });
  },
};

/** `import cluster, { type Worker, fork as start } from …` without its types, as constants. */
function requirement(statement, clause, specifier) {
  const [, whole, named] = /^(\w+)?(?:, )?(?:\{(.*)\})?$/s.exec(clause) ?? [];
  const values = (named ?? '').replace(/\btype \w+,?/g, '').replace(/(\w+) as (\w+)/g, '$1: $2');
  const targets = [
    ...(whole === undefined ? [] : [whole]),
    ...(/\w/.test(values) ? [`{${values}}`] : []),
  ];
  if (targets.length === 0) throw new Error(`no constants can be made of: ${statement}`);
  return `const ${targets.map((target) => `${target} = byRequire('${specifier}')`).join(', ')};`;
}
