import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';

import type { MessageTurn, Reply, StartTurn } from '../../../../src/core/agents/agent.ts';
import { AgentError, getAgent, listAgents } from '../../../../src/core/agents/built-in/registry.ts';
import { loadAgent } from '../../../../src/server/app/load-agent.ts';

const root = mkdtempSync(join(tmpdir(), 'registry-'));
after(() => rmSync(root, { recursive: true }));
let files = 0;

/** A module with a new name, because Node loads each name once. */
function write(source: string, extension = 'mjs'): string {
  files += 1;
  const name = `agent-${files}.${extension}`;
  writeFileSync(join(root, name), source);
  return name;
}

async function failure(nameOrPath: string, directory = root): Promise<AgentError> {
  try {
    await loadAgent(nameOrPath, directory);
  } catch (error) {
    assert.ok(error instanceof AgentError, String(error));
    assert.deepEqual([error.name, error.code], ['AgentError', 'ERR_AGENT']);
    assert.equal(error.message.includes('\n'), false, 'a message is one line');
    return error;
  }
  assert.fail(`${nameOrPath} was loaded`);
}

const GOOD = `export default { name: 'mine', welcome: 'Welcome.', onMessage: ({ text }) => 'I heard ' + text };`;

describe('getAgent', () => {
  it('knows every listed agent by name; the list describes each, and has no aliases', () => {
    const names = listAgents().map(({ name }) => name);
    assert.deepEqual(names.map((name) => getAgent(name).name), names.toSorted());
    assert.ok(names.includes('echo') && names.includes('slow') && !names.includes('slow_agent'));
    for (const { name, description } of listAgents())
      assert.match(description ?? '', /^\S.*\.$/, name);
  });

  for (const name of ['ehco', 'Echo', '', '__proto__', 'toString']) {
    it(`lists what exists if asked for ${JSON.stringify(name)}`, () => {
      const available = listAgents().map((agent) => agent.name).join(', ');
      assert.throws(() => getAgent(name), {
        name: 'AgentError',
        code: 'ERR_AGENT',
        message: `unknown agent "${name}"; available agents: ${available}; or the path of a module, for example ./my-agent.js`,
      });
    });
  }
});

describe('loadAgent', () => {
  it('returns a built-in agent by its name, or by that in the reference document', async () => {
    writeFileSync(join(root, 'echo'), GOOD); // a file would need a path
    assert.equal(await loadAgent('echo', root), getAgent('echo'));
    assert.equal(await loadAgent('slow_agent', root), getAgent('slow'));
  });

  it('loads a module by a relative path, below the directory and above it', async () => {
    const name = write(GOOD);
    const agent = await loadAgent(`./${name}`, root);
    assert.equal(agent.onMessage({ text: 'you' } as MessageTurn, {} as Reply), 'I heard you');
    // as defineAgent fills it in
    const welcome = agent.onSessionStart?.({ isResumed: false } as StartTurn, {} as Reply);
    assert.equal(welcome, 'Welcome.');
    assert.equal((await loadAgent(name, root)).name, 'mine');
    const below = join(root, 'below');
    mkdirSync(below, { recursive: true });
    assert.equal((await loadAgent(`../${name}`, below)).name, 'mine');
  });

  it('loads a module by an absolute path', async () => {
    assert.equal((await loadAgent(join(root, write(GOOD)), '/')).name, 'mine');
  });

  it('uses the working directory by default', async () => {
    const path = join(process.cwd(), 'no-such-agent.mjs');
    const message = `cannot read agent module ${path}: there is no such file`;
    await assert.rejects(loadAgent('./no-such-agent.mjs'), { message });
  });

  // A project created by `init` has agent.ts, and the pages mention ./my-agent.js.
  it('names the modules with the same base name if there is no such file', async () => {
    for (const name of ['desk.ts', 'desk.mjs', 'desk.test.ts', 'desk.txt', 'desktop.ts'])
      writeFileSync(join(root, name), GOOD);
    assert.match((await failure('./desk.js')).message,
      /desk\.js: there is no such file; did you mean desk\.mjs or desk\.ts\?$/);
    assert.match((await failure('./none/desk.js')).message, /desk\.js: there is no such file$/);
  });

  it('gives any other reason why a module cannot be read', async () => {
    const name = write(GOOD);
    const below = `./${name}/agent.js`; // its folder is a file
    assert.match((await failure(below)).message, /agent\.js: ENOTDIR: not a directory/);
  });

  it('loads a path with spaces, "#", "?", "%" and letters that are not ASCII', async () => {
    const folder = join(root, 'é 100%?#语');
    mkdirSync(folder);
    writeFileSync(join(folder, 'my agent.mjs'), GOOD);
    assert.equal((await loadAgent('./é 100%?#语/my agent.mjs', root)).name, 'mine');
  });

  const DEFINE = new URL('../../../../src/core/agents/define-agent.ts', import.meta.url).href;
  const TOOL = new URL('../../../../src/core/tools/tool.ts', import.meta.url).href;
  const MARK = `Object.defineProperty(exports, '__esModule', { value: true });`;
  for (const [what, source, extension] of [
    [
      'made with defineAgent',
      `import { defineAgent } from ${JSON.stringify(DEFINE)};
       export default defineAgent({ name: 'mine', onMessage: () => 'x' });`,
      'mjs',
    ],
    ['in CommonJS', `module.exports = { name: 'mine', onMessage: () => 'x' };`, 'cjs'],
    [
      'compiled to CommonJS',
      `${MARK} exports.default = { name: 'mine', onMessage: () => 'x' };`,
      'cjs',
    ],
    [
      'with a top-level await',
      `const name = await Promise.resolve('mine'); export default { name, onMessage: () => 'x' };`,
      'mjs',
    ],
    [
      'in TypeScript, under a loader',
      `import type { A } from './none.ts';
       export default { name: 'mine' satisfies string, onMessage: () => 'x' } as unknown as A;`,
      'ts',
    ],
  ] as const) {
    it(`loads a module ${what}`, async () =>
      assert.equal((await loadAgent(write(source, extension), root)).name, 'mine'));
  }

  const NO_DEFAULT = 'has no default export; write "export default defineAgent({ … })"';
  for (const [title, source, extension] of [
    ['has no default export', `export const agent = { name: 'x', onMessage: () => 'x' };`, 'mjs'],
    ['exports nothing', '', 'mjs'],
    ['compiled to CommonJS exports nothing', MARK, 'cjs'],
  ] as const) {
    it(`says that a module ${title}`, async () => {
      const name = write(source, extension);
      const { message } = await failure(name);
      assert.equal(message, `agent module ${join(root, name)} ${NO_DEFAULT}`);
    });
  }

  it('says what is wrong with a module whose export is not an agent', async () => {
    const name = write(`export default { name: 'x', onMesage() {} };`);
    const { message } = await failure(name);
    const start = `agent module ${join(root, name)}: agent "x": unknown field "onMesage"; `;
    assert.ok(message.startsWith(start), message);
  });

  for (const [title, source, message] of [
    ['throws', `throw new Error('no database');`, /failed to load: .*\.mjs:1: no database$/],
    [
      'requires the package on too old a Node',
      `throw Object.assign(new Error('ES Module'), { code: 'ERR_REQUIRE_ESM' });`,
      /failed to load: .*: ES Module; or use Node 20\.19, 22\.12 or later/,
    ],
    ['throws a bare object', 'throw Object.create(null);', /failed to load: something without/],
    ['is not code', '\nexport default {', /failed to load: .*agent-\d+\.mjs:2: Unexpected end/],
    [
      'imports a package that is not installed',
      `import 'no-such-package-x';\nexport default {};`,
      /failed to load: Cannot find package 'no-such-package-x'/,
    ],
  ] as const) {
    it(`says why a module that ${title} failed to load, and keeps the cause`, async () => {
      const name = write(source);
      const error = await failure(name);
      assert.ok(error.message.startsWith(`agent module ${join(root, name)} failed to load: `));
      assert.match(error.message, message);
      assert.notEqual(error.cause, undefined);
    });
  }

  // Previously only V8's message was shown, without file and line.
  for (const [title, place, files] of [
    [
      'syntax of an imported module',
      'tools.mjs:2',
      { 'tools.mjs': '\nconst price = ;', 'agent.mjs': `import './tools.mjs';` },
    ],
    [
      'syntax of a CommonJS file',
      'tools.cjs:3',
      {
        'tools.cjs': '\n\nconst price = ;',
        'agent.mjs': `import { createRequire } from 'node:module';
          createRequire(import.meta.url)('./tools.cjs');`,
      },
    ],
    [
      'name of an import',
      'agent.mjs:2',
      { 'tools.mjs': 'export const price = 1;', 'agent.mjs': `\nimport { x } from './tools.mjs';` },
    ],
    [
      'code of an imported module',
      'my tools.mjs:2',
      { 'my tools.mjs': '\nnull.price;', 'agent.mjs': `import './my tools.mjs';` },
    ],
    ['use of Node', 'agent.mjs:2', { 'agent.mjs': `import fs from 'fs';\nfs.openSync('/-/');` }],
    [
      'use of a package',
      'agent.mjs:2',
      {
        'node_modules/broken/index.js': 'module.exports = () => null.x;',
        'agent.mjs': `import broken from 'broken';\nbroken();`,
      },
    ],
    [
      'use of this package',
      'agent.mjs:2',
      { 'agent.mjs': `import { tool } from ${JSON.stringify(TOOL)};\ntool({});` },
    ],
  ] as const) {
    it(`names the file and line of a mistake in the ${title}`, async () => {
      const directory = mkdtempSync(join(root, 'mistake-'));
      for (const [name, source] of Object.entries(files)) {
        mkdirSync(dirname(join(directory, name)), { recursive: true });
        writeFileSync(join(directory, name), source);
      }
      const { message } = await failure('./agent.mjs', directory);
      const start = `agent module ${join(directory, 'agent.mjs')} failed to load: `;
      assert.ok(message.startsWith(`${start}${join(directory, place)}: `), message);
    });
  }

  for (const source of [`import 'node:fs';`, 'export default {};']) {
    it(`says how Node decides that a file is a module: ${source}`, async () => {
      mkdirSync(join(root, 'scripts'), { recursive: true });
      writeFileSync(join(root, 'scripts/package.json'), '{"type":"commonjs"}');
      writeFileSync(join(root, 'scripts/agent.js'), source);
      const { message } = await failure('./scripts/agent.js');
      assert.match(message, /; name it \.mjs, or run: npm pkg set type=module$/);
    });
  }

  it('says that a folder failed to load', async () => {
    mkdirSync(join(root, 'folder'));
    assert.match((await failure('./folder')).message, /folder failed to load: /);
  });

  it('loads TypeScript where Node can, or says what to do', () => {
    const name = write(
      `const name: string = 'typed';\nexport default { name, onMessage: (turn: { text: string }): string => turn.text };`,
      'ts',
    );
    const dist = pathToFileURL(join(import.meta.dirname, '../../../../dist/index.js')).href;
    const script = `import { loadAgent } from ${JSON.stringify(dist)}; const { name } = await loadAgent(${JSON.stringify(name)}); console.log(name);`;
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--no-warnings', '--input-type=module', '-e', script],
      { cwd: root, encoding: 'utf8', env: {} },
    );
    if ('typescript' in process.features && process.features.typescript)
      assert.equal(stdout, 'typed\n', stderr);
    else
      assert.match(
        stderr,
        new RegExp(
          `agent-\\d+\\.ts failed to load: .*; Node ${process.versions.node.replaceAll('.', '\\.')} does not load TypeScript: compile it, or use Node 22\\.18 or later`,
        ),
      );
  });
});
