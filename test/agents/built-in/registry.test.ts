import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';

import type { Agent, MessageTurn, StartTurn } from '../../../src/agents/agent.ts';
import type { Reply } from '../../../src/agents/agent.ts';
import { AgentError, getAgent, listAgents } from '../../../src/agents/built-in/registry.ts';
import { loadAgent } from '../../../src/app/load-agent.ts';

const root = mkdtempSync(join(tmpdir(), 'registry-'));
after(() => rmSync(root, { recursive: true }));
let files = 0;

/** A module of its own name, as Node loads each once. */
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

function answer(agent: Agent): unknown {
  return agent.onMessage({ text: 'you' } as MessageTurn, {} as Reply);
}

describe('getAgent', () => {
  for (const { name } of listAgents()) {
    it(`knows ${name}`, () => assert.equal(getAgent(name).name, name));
  }

  it('knows echo and slow', () => {
    const names = listAgents().map(({ name }) => name);
    assert.ok(names.includes('echo') && names.includes('slow'));
  });

  it('knows slow_agent, as the reference document spells it, for slow', () =>
    assert.equal(getAgent('slow_agent'), getAgent('slow')));

  it('gives every agent a description', () => {
    for (const { name, description } of listAgents())
      assert.match(description ?? '', /^\S.*\.$/, name);
  });

  it('lists agents in the order of their names, and no alias', () => {
    const names = listAgents().map(({ name }) => name);
    assert.deepEqual(names, names.toSorted());
    assert.equal(names.includes('slow_agent'), false);
  });

  for (const name of [
    'ehco',
    'Echo',
    ' echo',
    '',
    '__proto__',
    'constructor',
    'toString',
    'slow-agent',
  ]) {
    it(`lists what there is for ${JSON.stringify(name)}`, () => {
      const available = listAgents()
        .map((agent) => agent.name)
        .join(', ');
      assert.throws(() => getAgent(name), {
        name: 'AgentError',
        code: 'ERR_AGENT',
        message: `unknown agent "${name}"; available agents: ${available}; or the path of a module, for example ./my-agent.js`,
      });
    });
  }
});

describe('loadAgent', () => {
  it('gives a built-in agent by its name, and by its alias', async () => {
    assert.equal(await loadAgent('echo', root), getAgent('echo'));
    assert.equal(await loadAgent('slow_agent', root), getAgent('slow'));
  });

  it('lists what there is for a wrong name', async () => {
    assert.match(
      (await failure('my-agent')).message,
      /^unknown agent "my-agent"; available agents: .*echo.*; or the path of a module, for example \.\/my-agent\.js$/,
    );
  });

  it('takes a file for a built-in agent of that name only when a path is given', async () => {
    writeFileSync(join(root, 'echo'), GOOD);
    assert.equal(await loadAgent('echo', root), getAgent('echo'));
  });

  it('loads a module by a relative path, below the directory and above it', async () => {
    const name = write(GOOD);
    assert.equal(answer(await loadAgent(`./${name}`, root)), 'I heard you');
    assert.equal((await loadAgent(name, root)).name, 'mine');
    const below = join(root, 'below');
    mkdirSync(below, { recursive: true });
    assert.equal((await loadAgent(`../${name}`, below)).name, 'mine');
  });

  it('loads a module by an absolute path', async () => {
    assert.equal((await loadAgent(join(root, write(GOOD)), '/')).name, 'mine');
  });

  it('takes the working directory by default', async () => {
    const error = await loadAgent('./no-such-agent.mjs').catch((caught: unknown) => caught);
    assert.equal(
      (error as Error).message,
      `cannot read agent module ${join(process.cwd(), 'no-such-agent.mjs')}`,
    );
  });

  it('fills in the welcome, as defineAgent does', async () => {
    const agent = await loadAgent(write(GOOD), root);
    assert.equal(
      agent.onSessionStart?.({ isResumed: false } as StartTurn, {} as Reply),
      'Welcome.',
    );
  });

  it('loads a module that defineAgent has been at', async () => {
    const source = `import { defineAgent } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, '../../../src/agents/define-agent.ts')).href)};\nexport default defineAgent({ name: 'defined', welcome: 'Hi.', onMessage: () => 'x' });`;
    assert.equal((await loadAgent(write(source), root)).name, 'defined');
  });

  it('loads a path with blanks, a hash, a question mark, a percent sign and letters of all kinds', async () => {
    const folder = join(root, 'é 100%?#语');
    mkdirSync(folder);
    writeFileSync(join(folder, 'my agent.mjs'), GOOD);
    assert.equal((await loadAgent('./é 100%?#语/my agent.mjs', root)).name, 'mine');
  });

  it('loads CommonJS', async () => {
    assert.equal(
      (
        await loadAgent(
          write(`module.exports = { name: 'old', onMessage: () => 'x' };`, 'cjs'),
          root,
        )
      ).name,
      'old',
    );
  });

  it('loads what a compiler has made of a default export in CommonJS', async () => {
    const mark = `Object.defineProperty(exports, '__esModule', { value: true });`;
    const good = write(`${mark}\nexports.default = { name: 'old', onMessage: () => 'x' };`, 'cjs');
    assert.equal((await loadAgent(good, root)).name, 'old');
    assert.match((await failure(write(mark, 'cjs'))).message, /has no default export/);
  });

  it('loads a module with an await at its top', async () => {
    assert.equal(
      (
        await loadAgent(
          write(
            `const name = await Promise.resolve('later');\nexport default { name, onMessage: () => 'x' };`,
          ),
          root,
        )
      ).name,
      'later',
    );
  });

  it('loads TypeScript under a loader', async () => {
    const source = `import type { A } from './none.ts';\nconst name: string = 'typed' satisfies string;\nexport default { name, onMessage: (turn: { text: string }): string => turn.text } as { name: string; onMessage: unknown } & A;`;
    assert.equal((await loadAgent(write(source, 'ts'), root)).name, 'typed');
  });

  it('names the file that is not there', async () => {
    assert.equal(
      (await failure('./no-such-agent.mjs')).message,
      `cannot read agent module ${join(root, 'no-such-agent.mjs')}`,
    );
  });

  for (const [title, source, message] of [
    [
      'has no default export',
      `export const agent = { name: 'x', onMessage: () => 'x' };`,
      'has no default export; write "export default defineAgent({ … })"',
    ],
    ['exports nothing', '', 'has no default export; write "export default defineAgent({ … })"'],
  ] as const) {
    it(`says that a module ${title}`, async () => {
      const name = write(source);
      assert.equal((await failure(name)).message, `agent module ${join(root, name)} ${message}`);
    });
  }

  for (const [title, source, message] of [
    ['null', 'export default null;', /: an agent must be an object, got null$/],
    ['a text', `export default 'echo';`, /: an agent must be an object, got (a )?(echo|string)$/],
    [
      'a function',
      'export default function agent(turn) {\n  return turn.text;\n}',
      /: an agent must be an object, got (a )?function$/,
    ],
    [
      'an agent without a name',
      'export default { onMessage() {} };',
      /: an agent must have a name$/,
    ],
    [
      'an agent without onMessage',
      `export default { name: 'x' };`,
      /: agent "x" must have onMessage/,
    ],
    [
      'an agent with a misspelt hook',
      `export default { name: 'x', onMesage() {} };`,
      /: agent "x": unknown field "onMesage"; did you mean "onMessage"\?/,
    ],
    [
      'an agent with a wrong field',
      `export default { name: 'x', onMessage: 'hi' };`,
      /: an agent's onMessage must be a function, got string$/,
    ],
  ] as const) {
    it(`says what is wrong with a module that exports ${title}`, async () => {
      const name = write(source);
      const error = await failure(name);
      assert.ok(error.message.startsWith(`agent module ${join(root, name)}: `), error.message);
      assert.match(error.message, message);
    });
  }

  for (const [title, source, message] of [
    ['throws', `throw new Error('no database');`, /failed to load: no database$/],
    [
      'requires the package, which Node cannot yet',
      `throw Object.assign(new Error('ES Module'), { code: 'ERR_REQUIRE_ESM' });`,
      /failed to load: ES Module; or use Node 20\.19, 22\.12 or later/,
    ],
    ['throws no error', `throw 'a text';`, /failed to load: a text$/],
    ['throws what has no text', 'throw Object.create(null);', /failed to load: something without/],
    ['is no JavaScript', 'export default {', /failed to load: /],
    [
      'imports what is not there',
      `import './no-such-file.mjs';\nexport default {};`,
      /failed to load: Cannot find module .*no-such-file\.mjs/,
    ],
    [
      'imports a package that is not installed',
      `import 'no-such-package-x';\nexport default {};`,
      /failed to load: Cannot find package 'no-such-package-x'/,
    ],
  ] as const) {
    it(`says why a module that ${title} failed to load, and keeps the cause`, async () => {
      const name = write(source);
      const error = await failure(name);
      assert.ok(
        error.message.startsWith(`agent module ${join(root, name)} failed to load: `),
        error.message,
      );
      assert.match(error.message, message);
      assert.notEqual(error.cause, undefined);
    });
  }

  for (const source of [`import 'node:fs';`, 'export default {};']) {
    it(`says how Node takes a module for one: ${source}`, async () => {
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

  it('loads TypeScript where Node can, and elsewhere says what to do', () => {
    const name = write(
      `const name: string = 'typed';\nexport default { name, onMessage: (turn: { text: string }): string => turn.text };`,
      'ts',
    );
    const dist = pathToFileURL(join(import.meta.dirname, '../../../dist/index.js')).href;
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
