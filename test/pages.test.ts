// What the pages say must be true of the code: settings, names, commands, routes, metrics, log
// messages, and the code they show. What they look like is checked by `npm run check`.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, it } from 'node:test';

import { listAgents } from '../src/core/agents/built-in/registry.ts';
import { MemoryStore } from '../src/core/conversations/memory-store.ts';
import { PROVIDERS } from '../src/core/models/providers.ts';
import { createTestClient } from '../src/kit/test-client.ts';
import type { AppOptions } from '../src/server/app/app-parts.ts';
import type { App } from '../src/server/app/app.ts';
import { createApp } from '../src/server/app/create-app.ts';
import { addWorkersMetrics } from '../src/server/observers/gauges.ts';
import type { CallRecords } from '../src/server/records/call-recorder.ts';
import { parseSettings } from '../src/server/settings/parse-settings.ts';
import { settingRows } from '../src/server/settings/table.ts';
import { packed } from './fixtures/npm.ts';
import {
  codeBlocks, linksOf, pages, readPage, typeErrors, wholeFiles, writeProject, type CodeBlock,
} from './fixtures/pages.ts';
import { filesBelow, ROOT } from './fixtures/source-files.ts';
import { TYPESCRIPT } from './fixtures/typescript.ts';

const SECRET = 'whsec_pages';
const NO_RECORDS: CallRecords = {
  ended: () => undefined,
  counts: () => ({ written: 0, lost: 0, waiting: 0 }),
  close: () => Promise.resolve(),
};
const SRC = join(ROOT, 'src');
const agentsPage = readPage('docs/agents.md');
const errorsPage = readPage('docs/errors.md');
const modelsPage = readPage('docs/models.md');
const observabilityPage = readPage('docs/observability.md');
const settingsPage = readPage('docs/settings.md');
const wirePage = readPage('docs/wire.md');

function readSource(path: string): string {
  return readFileSync(join(SRC, path), 'utf8');
}

const source = filesBelow('src')
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readFileSync(join(ROOT, path), 'utf8'))
  .join('\n');

/** The part of a command that is read here. */
interface Command {
  readonly help: string;
}

/** The first group of every match. */
function captures(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, captured = '']) => captured);
}

function createAppOfPages(options: AppOptions = {}): App {
  const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: SECRET }, []);
  return createApp(settings, { name: 'none', onMessage: () => undefined }, options);
}

describe('docs/settings.md', () => {
  for (const { variable, flags } of settingRows) {
    it(`names the flags of ${variable}`, () => {
      const ALSO = new RegExp(`\`${variable}\`\\s+is also \`(.*?)\``, 'g');
      const others = captures(settingsPage, ALSO);
      const named = `--${variable.toLowerCase().replaceAll('_', '-')}`;
      assert.deepEqual([...flags].toSorted(), [named, ...others].toSorted());
    });
  }

  /** `name: async () => (await import('path')).exported` */
  const COMMAND = /^ +'?([\w-]+)'?: async \(\) => \(await import\('(.+)'\)\)\.(\w+),$/gm;
  const commands = [...readSource('cli.ts').matchAll(COMMAND)].map(
    ([, name = '', path = '', exported = '']) => ({ name, path, exported }),
  );
  const COMMAND_ROW = /^\| `([a-z][a-z-]*)[^`]*`(?:, `[^`]+`)* \| (.*) \|$/gm;
  const commandRows = [...settingsPage.matchAll(COMMAND_ROW)];

  it('lists exactly the commands, in their order', () => {
    assert.ok(commands.length > 0);
    assert.deepEqual(commandRows.map(([, name]) => name), commands.map(({ name }) => name));
  });

  for (const { name, path, exported } of commands) {
    it(`names no flag of ${name} that its --help lacks`, async () => {
      const module = (await import(join(SRC, path))) as Readonly<Record<string, Command>>;
      const { help = '' } = module[exported] ?? {};
      const [, , meaning = ''] = commandRows.find(([, command]) => command === name) ?? [];
      const flags = captures(meaning, /`(--[a-z-]+)/g);
      assert.deepEqual(flags.filter((flag) => !help.includes(flag)), []);
    });
  }
});

describe('CONTRIBUTING.md', () => {
  it('names every room of src/', () => {
    const page = readPage('CONTRIBUTING.md');
    const names = [...new Set(filesBelow('src').flatMap((path) => path.split('/').slice(1, -1)))];
    assert.ok(names.length > 20);
    assert.deepEqual(names.filter((name) => !page.includes(`${name}/`)), []);
  });
});

describe('docs/models.md', () => {
  it('lists every provider with its keys and its address', () => {
    const ROW = /^\| `([a-z]+)` \| (.*`[A-Z_]+_API_KEY`.*)$/gm;
    const matches = [...modelsPage.matchAll(ROW)];
    const rows = new Map(matches.map(([, name = '', rest = '']) => [name, rest]));
    assert.deepEqual([...rows.keys()], Object.keys(PROVIDERS));
    for (const [name, { baseUrl, keyNames }] of Object.entries(PROVIDERS)) {
      const address = baseUrl ?? `${name.toUpperCase()}_BASE_URL`;
      const row = rows.get(name) ?? '';
      const parts = [...keyNames, address];
      assert.deepEqual(parts.filter((part) => !row.includes(`\`${part}\``)), [], name);
    }
  });

  it('names the default model of every provider that has one', () => {
    const models = Object.entries(PROVIDERS).flatMap(([name, { defaultModel }]) =>
      defaultModel === undefined ? [] : [`${name}:${defaultModel}`],
    );
    assert.ok(models.length > 0);
    assert.deepEqual(models.filter((model) => !modelsPage.includes(`\`${model}\``)), []);
  });
});

describe('docs/agents.md', () => {
  it('names every built-in agent', () => {
    const names = listAgents().map(({ name }) => name);
    assert.deepEqual(names.filter((name) => !agentsPage.includes(`\`${name}\``)), []);
  });
});

describe('docs/observability.md', () => {
  it('lists every metric, and no others', async () => {
    const isWell = { isDegraded: false, turnsWaiting: 0, failures: 0, conflicts: 0 };
    const store = new MemoryStore({ ttlMs: 1_000, maxConversations: 1 });
    const storeThatCanFail = Object.assign(store, { health: () => isWell });
    const app = createAppOfPages({ store: storeThatCanFail, records: NO_RECORDS });
    addWorkersMetrics(app.metrics, { serving: 2, died: 0 });
    const text = app.metrics.text();
    const served = new Set(captures(text, /^# TYPE (\S+ \S+)/gm));
    await app.close();
    assert.deepEqual(captures(text, /^# HELP (\S+) *$/gm), []); // none is left unexplained
    const ROW = /^\| `(\w+)` \| (counter|gauge|histogram) \|/gm;
    const listed = [...observabilityPage.matchAll(ROW)].map(([, name, type]) => `${name} ${type}`);
    assert.deepEqual(listed.toSorted(), [...served].toSorted());
  });
});

describe('docs/wire.md', () => {
  it('lists every route of the app, and no others', async () => {
    const client = createTestClient(createAppOfPages(), { secret: SECRET });
    const answer = await fetch(`${await client.origin()}/openapi.json`);
    const { paths } = (await answer.json()) as { paths: Record<string, object> };
    await client.close();
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.ok(routes.length >= 6, routes.join());
    const listed = captures(wirePage, /^\| `((?:GET|POST) \/\S*)`/gm);
    assert.deepEqual([...new Set(listed)].toSorted(), routes.toSorted());
  });
});

describe('docs/errors.md', () => {
  /** What the table lists, as `level message`. */
  const listed = [...errorsPage.matchAll(/^\| (debug|info|warn|error) \| (.*?) \|/gm)].flatMap(
    ([, level = '', cell = '']) => captures(cell, /`([^`]+)`/g).map((text) => `${level} ${text}`));

  it('lists every message that the server logs, at its level', () => {
    const logged = new Map<string, string[]>();
    for (const [, level = '', text = ''] of
      source.matchAll(/\blog\.(debug|info|warn|error)\('([^']+)'/g))
      logged.set(text, [...(logged.get(text) ?? []), `${level} ${text}`]);
    assert.ok(logged.size > 10);
    const missing = [...logged.values()].filter((lines) =>
      !lines.some((line) => listed.includes(line)));
    assert.deepEqual(missing, []);
  });

  it('lists no log message that is not in the code', () => {
    const messages = listed.map((line) => line.slice(line.indexOf(' ') + 1));
    const isOfEvent = (message: string): boolean =>
      message.endsWith(' failed') && /`\$\{\w+\.type\} failed`/.test(source);
    const isLogged = (message: string): boolean => source.includes(`'${message}'`);
    const isKnown = (message: string): boolean => isLogged(message) || isOfEvent(message);
    assert.deepEqual(messages.filter((message) => !isKnown(message)), []);
  });

  it('lists every code of a model\'s error', () => {
    const [, union = ''] = /export type ModelErrorCode =([^;]+);/.exec(source) ?? [];
    const codes = captures(union, /'(\w+)'/g);
    assert.ok(codes.length > 10, union);
    assert.deepEqual(codes.filter((code) => !errorsPage.includes(`\`${code}\``)), []);
  });

  it('lists every fixed sentence that a client can get as an answer', () => {
    const THROWN = /new (?:HttpError\(\d+, |BadRequest\(|ServiceUnavailable\()'((?:[^'\\]|\\.)+)'/g;
    const sentences = captures(source, THROWN).map((text) => text.replaceAll('\\\'', '\''));
    assert.ok(sentences.length > 10, sentences.join('\n'));
    const missing = sentences.filter((sentence) => !errorsPage.includes(sentence));
    assert.deepEqual([...new Set(missing)], []);
  });
});

describe('package.json', () => {
  const manifest = JSON.parse(readPage('package.json')) as {
    readonly license: string;
    readonly scripts: Readonly<Record<string, string>>;
  };

  it('names no home page, repository, author or bug tracker before there is one', () => {
    const fields = ['homepage', 'repository', 'author', 'bugs'];
    assert.deepEqual(fields.filter((field) => field in manifest), []);
  });

  it('names the licence in LICENSE', () => {
    assert.ok(readPage('LICENSE').startsWith(`${manifest.license} License`));
  });

  it('has every npm script that a page or another script names', () => {
    const texts = new Map(pages.map((page) => [page, readPage(page)]));
    texts.set('package.json', JSON.stringify(manifest.scripts));
    for (const [place, text] of texts) {
      const named = [
        ...captures(text, /\bnpm run (?:--silent )?([\w:-]+)/g),
        ...captures(text, /\bnpm (test|start)\b/g),
      ];
      assert.deepEqual(named.filter((name) => !Object.hasOwn(manifest.scripts, name)), [], place);
    }
  });

  it('packs everything that a packed page links to', () => {
    const { files } = packed();
    const isPacked = (target: string): boolean =>
      files.some(({ path }) => path === target || path.startsWith(`${target.replace(/\/$/, '')}/`));
    const packedPages = pages.filter(isPacked);
    for (const page of ['README.md', 'docs/README.md', 'docs/errors.md']) {
      assert.ok(packedPages.includes(page), page);
    }
    const lost = packedPages.flatMap((page) =>
      linksOf(page)
        .map(({ path }) => normalize(join(dirname(page), path)))
        .filter((target) => !isPacked(target))
        .map((target) => `${page} links ${target}`),
    );
    assert.deepEqual(lost, []);
  });
});

describe('the commands on the pages', () => {
  it('give the server only flags that exist', () => {
    const own = ['--settings-file', '--help', '--version'];
    const flags = new Set([...settingRows.flatMap(({ flags }) => flags), ...own]);
    for (const page of pages) {
      const named = captures(readPage(page), /layercode-microserver (--[a-z-]+)/g);
      assert.deepEqual(named.filter((flag) => !flags.has(flag)), [], page);
    }
  });
});

describe('the code on the pages', () => {
  it('names each whole file only once', () => {
    const names = codeBlocks.flatMap(({ file }) => file ?? []);
    assert.ok(names.length >= 8, names.join());
    assert.equal(new Set(names).size, names.length);
  });

  it('type-checks if it is a whole file, and parses if it is part of one', () => {
    const isPart = ({ language, file }: CodeBlock): boolean =>
      /^[jt]s$/.test(language) && file === undefined;
    // Only the syntax of a part is checked: it uses names that stand elsewhere on the page.
    const parts = codeBlocks.filter(isPart).map(({ page, line, text }) => {
      const name = `${page.replaceAll(/\W/g, '-')}-line-${line}.js`;
      return [name, `// @ts-nocheck\n${text}`] as const;
    });
    const files = new Map([...wholeFiles({ needsPeers: false }), ...parts]);
    const folder = writeProject(files, { compilerOptions: { checkJs: true } });
    assert.equal(typeErrors(folder), '');
  });

  it('passes if it is a test', () => {
    const files = wholeFiles({ needsPeers: false });
    const tests = [...files.keys()].filter((name) => /\.test\.[jt]s$/.test(name));
    assert.ok(tests.length >= 2, tests.join());
    const folder = writeProject(files);
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(ROOT, join(folder, 'node_modules/layercode-microserver'));
    const { NODE_TEST_CONTEXT: _outer, ...env } = process.env;
    writeFileSync(join(folder, 'all.js'), tests.map((name) => `import './${name}';\n`).join(''));
    const argv = [...TYPESCRIPT, 'all.js']; // one process loads the program once
    const options = { cwd: folder, encoding: 'utf8', env } as const;
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, options);
    assert.equal(status, 0, stdout + stderr);
  });
});
