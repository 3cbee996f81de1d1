// What the pages say must be true of the code: settings, names, commands, routes, metrics, log messages, links, and the code they show.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { listAgents } from '../src/agents/built-in/registry.ts';
import { createApp } from '../src/app/create-app.ts';
import { LogOutput } from '../src/process/log-output.ts';
import { PROVIDERS } from '../src/models/providers.ts';
import { parseSettings } from '../src/settings/settings.ts';
import { settingRows } from '../src/settings/table.ts';
import { createTestClient } from '../src/test-client.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SRC = join(ROOT, 'src');
const readme = readPage('README.md');
const errors = readPage('docs/errors.md');
const pages = ['README.md', 'docs', 'docs/decisions'].flatMap((path) =>
  path.endsWith('.md') ? [path] : readdirSync(join(ROOT, path)).filter((name) => name.endsWith('.md')).map((name) => `${path}/${name}`),
);

function readPage(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function sourceFiles(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? sourceFiles(path) : [path];
  });
}

const source = sourceFiles(SRC).filter((path) => path.endsWith('.ts')).map((path) => readFileSync(path, 'utf8')).join('\n');

interface CodeBlock {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** Of a block that is a whole file: `// file: name` in its first line. */
  readonly file: string | undefined;
}

/** Fenced blocks, also those indented in a list. */
function codeBlocks(page: string): CodeBlock[] {
  const text = readPage(page);
  return [...text.matchAll(/^( *)```(\w*)\n([^]*?)^\1```$/gm)].map(({ 1: indent = '', 2: language = '', 3: body = '', index }) => ({
    page,
    line: text.slice(0, index).split('\n').length,
    language,
    text: body.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    file: /^ *\/\/ file: (\S+)/.exec(body)?.[1],
  }));
}

const blocks = pages.flatMap(codeBlocks);

/** What the reader is told is there: in backticks. */
function quotes(text: string, name: string): boolean {
  return new RegExp(`(?<![\\w$])${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?![\\w$])`).test(text);
}

describe('README.md on settings', () => {
  const table = new Map(
    [...readme.matchAll(/^\| `([A-Z][A-Z0-9_]*)` \| (`--.*?) \| (.*?) \| (.*?) \| (.*) \|$/gm)].map(([, variable = '', flags, shown, takes, meaning]) => [
      variable,
      { flags: flags?.replaceAll('`', '').split(', '), default: shown?.replaceAll('`', ''), takes, meaning },
    ]),
  );

  it('lists exactly the variables of the settings, in their order', () => {
    assert.deepEqual([...table.keys()], settingRows.map(({ variable }) => variable));
  });

  for (const { variable, flags, takes, default: shown, meaning } of settingRows) {
    it(`says of ${variable} its flags, default, bounds and meaning as --help does`, () => {
      assert.deepEqual(table.get(variable), { flags: [...flags], default: shown, takes, meaning });
    });
  }

  it('groups them as the settings do', () => {
    const found = [...readme.matchAll(/^#### (.*)\n\n\| variable /gm)].map(([, title]) => title);
    assert.deepEqual(found, [...new Set(settingRows.map(({ group }) => group))]);
  });

  it('lists every provider with its keys and its address', () => {
    const rows = new Map([...readme.matchAll(/^\| `([a-z]+)` \| (.*`[A-Z_]+_API_KEY`.*)$/gm)].map(([, name = '', rest = '']) => [name, rest]));
    assert.deepEqual([...rows.keys()], Object.keys(PROVIDERS));
    for (const [name, { baseUrl = `${name.toUpperCase()}_BASE_URL`, keyNames }] of Object.entries(PROVIDERS)) {
      for (const part of [...keyNames, baseUrl]) assert.ok(rows.get(name)?.includes(`\`${part}\``), `${name}: ${part}`);
    }
  });

  it('names the model that each default provider speaks with', () => {
    for (const [name, { defaultModel }] of Object.entries(PROVIDERS)) {
      if (defaultModel !== undefined) assert.ok(readme.includes(`\`${name}:${defaultModel}\``), name);
    }
  });
});

describe('README.md on names', () => {
  for (const entry of ['index.ts', 'testing.ts']) {
    it(`has every name that src/${entry} exports`, () => {
      const exported = [...readFileSync(join(SRC, entry), 'utf8').matchAll(/^export (?:type )?\{([^}]+)\}/gm)]
        .flatMap(([, names = '']) => names.split(','))
        .map((name) => name.trim())
        .filter(Boolean);
      assert.ok(exported.length > 0);
      assert.deepEqual(exported.filter((name) => !quotes(readme, name)), []);
    });
  }

  it('has every hook and field of an agent', () => {
    const definition = readFileSync(join(SRC, 'agents/agent.ts'), 'utf8') + readFileSync(join(SRC, 'agents/model-agent.ts'), 'utf8');
    const declared = [...definition.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm)].map(([, name = '']) => name);
    assert.ok(declared.includes('onInterrupted') && declared.includes('speakable'), declared.join());
    assert.deepEqual(declared.filter((name) => !quotes(readme, name)), []);
  });

  it('has every built-in agent', () => {
    assert.deepEqual(listAgents().filter(({ name }) => !readme.includes(`\`${name}\``)), []);
  });

  it('has every metric, and none that is not there', async () => {
    const app = createApp(parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'whsec_readme' }, []), { name: 'none', onMessage: () => undefined });
    new LogOutput({ stream: process.stdout, complain: () => undefined }).addTo(app.metrics); // as the process does
    const served = [...app.metrics.text().matchAll(/^# TYPE (\S+) (\S+)/gm)].map(([, name, type]) => `${name} ${type}`);
    const listed = [...readme.matchAll(/^\| `(\w+)` \| (counter|gauge|histogram) \|/gm)].map(([, name, type]) => `${name} ${type}`);
    await app.close();
    assert.deepEqual(listed.toSorted(), served.toSorted());
  });
});

describe('README.md on routes', () => {
  it('has every route of the app', async () => {
    const app = createApp(parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'whsec_readme' }, []), { name: 'none', onMessage: () => undefined });
    const client = createTestClient(app, { secret: 'whsec_readme' });
    const { paths } = (await (await fetch(`${await client.origin()}/openapi.json`)).json()) as { paths: Record<string, object> };
    await client.close();
    const routes = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    assert.ok(routes.length >= 6, routes.join());
    const listed = [...readme.matchAll(/^\| `((?:GET|POST) \/\S*)`/gm)].map(([, route = '']) => route);
    assert.deepEqual([...new Set(listed)].toSorted(), routes.toSorted());
  });
});

describe('the pages on commands', () => {
  const { scripts } = JSON.parse(readPage('package.json')) as { scripts: Record<string, string> };

  it('name no npm script that is not there', () => {
    for (const page of pages) {
      const named = [...readPage(page).matchAll(/\bnpm (?:run (?:--silent )?([\w:-]+)|(test|start)\b)/g)].map(([, run, short]) => run ?? short ?? '');
      assert.deepEqual(named.filter((script) => !Object.hasOwn(scripts, script)), [], page);
    }
  });

  it('give the agent\'s paths as flags and variables that are there', () => {
    const flags = new Set([...settingRows.flatMap(({ flags }) => flags), '--settings-file', '--help', '--version']);
    const named = [...readme.matchAll(/layercode-microserver (--[a-z-]+)/g)].map(([, flag = '']) => flag);
    assert.deepEqual(named.filter((flag) => !flags.has(flag)), []);
  });
});

describe('docs/errors.md', () => {
  it('has every message that the server logs', () => {
    const logged = [...source.matchAll(/\blog\.(?:debug|info|warn|error)\('([^']+)'/g)].map(([, message = '']) => message);
    assert.ok(logged.length > 10, logged.join());
    assert.deepEqual([...new Set(logged)].filter((message) => !errors.includes(`\`${message}\``)), []);
  });

  it('lists no log message that is not in the code', () => {
    const listed = [...errors.matchAll(/^\| (?:debug|info|warn|error) \| (.*?) \|/gm)].flatMap(([, cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(([, message = '']) => message));
    const known = (message: string): boolean => source.includes(`'${message}'`) || / failed$/.test(message) && source.includes('`${event.type} failed`');
    assert.deepEqual(listed.filter((message) => !known(message)), []);
  });

  it('has every code of a model\'s error', () => {
    const [, union = ''] = /export type ModelErrorCode =([^;]+);/.exec(source) ?? [];
    const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code = '']) => code);
    assert.ok(codes.length > 10, union);
    assert.deepEqual(codes.filter((code) => !errors.includes(`\`${code}\``)), []);
  });

  it('has every fixed sentence that a client can be answered', () => {
    const sentences = [...source.matchAll(/new (?:HttpError\(\d+, |BadRequest\(|ServiceUnavailable\()'((?:[^'\\]|\\.)+)'/g)].map(([, text = '']) => text.replaceAll('\\\'', '\''));
    assert.ok(sentences.length > 10, sentences.join('\n'));
    assert.deepEqual([...new Set(sentences)].filter((sentence) => !errors.includes(sentence)), []);
  });
});

describe('a link of the pages', () => {
  /** As GitHub makes them. */
  function anchorsOf(text: string): Set<string> {
    const seen = new Map<string, number>();
    const anchors = new Set<string>();
    for (const [, title = ''] of text.replaceAll(/^ *```[^]*?^ *```$/gm, '').matchAll(/^#{1,6} (.+)$/gm)) {
      const slug = title.replace(/\[([^\]]+)\]\([^)]*\)/g, '$1').toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').trim().replaceAll(' ', '-');
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      anchors.add(count === 0 ? slug : `${slug}-${count}`);
    }
    return anchors;
  }

  for (const page of pages) {
    it(`in ${page} leads to a file and a heading that are there`, () => {
      const links = [...readPage(page).replaceAll(/^ *```[^]*?^ *```$/gm, '').matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)];
      for (const [link, path = '', anchor] of links) {
        const target = path === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), path);
        assert.ok(existsSync(target), link);
        if (anchor !== undefined && statSync(target).isFile()) assert.ok(anchorsOf(readFileSync(target, 'utf8')).has(anchor), link);
      }
    });
  }
});

describe('the code of the pages', () => {
  const directory = mkdtempSync(join(tmpdir(), 'readme-code-'));
  after(() => rmSync(directory, { recursive: true, force: true }));
  /** What the examples use of packages that are not installed here. */
  const FOREIGN_PACKAGES = `
    declare module '@ai-sdk/openai' {
      export function openai(model: string): object;
    }
    declare module 'ai' {
      export function streamText(options: {
        model: object; system?: string; messages: { role: string; content: string }[]; abortSignal?: AbortSignal; onError?: (event: { error: unknown }) => void;
      }): { textStream: AsyncIterable<string> };
    }
  `;
  const isCode = ({ language }: CodeBlock): boolean => language === 'js' || language === 'ts';

  /** The compiler's complaints, with the names that `blocks` have as files. */
  function check(files: ReadonlyMap<string, string>, compilerOptions: object): string {
    const folder = mkdtempSync(join(directory, 'check-'));
    const write = (name: string, content: unknown): void => writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
    write('package.json', { type: 'module' });
    write('stubs.d.ts', FOREIGN_PACKAGES);
    write('tsconfig.json', {
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: {
        noEmit: true,
        allowJs: true,
        noUnusedLocals: false,
        typeRoots: [join(ROOT, 'node_modules/@types')],
        paths: { 'layercode-microserver': [join(SRC, 'index.ts')], 'layercode-microserver/testing': [join(SRC, 'testing.ts')], 'layercode-microserver/platform': [join(SRC, 'platform.ts')] },
        ...compilerOptions,
      },
      include: ['*'],
    });
    for (const [name, text] of files) write(name, text);
    const require = createRequire(import.meta.url);
    const { bin } = require('typescript/package.json') as { bin: { tsc: string } };
    const tsc = join(dirname(require.resolve('typescript/package.json')), bin.tsc);
    const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], { encoding: 'utf8', cwd: folder });
    return status === 0 ? '' : stdout;
  }

  it('has whole files to speak of, each named once', () => {
    const names = blocks.flatMap(({ file }) => file ?? []);
    assert.ok(names.length >= 8, names.join());
    assert.equal(new Set(names).size, names.length);
  });

  it('type-checks where it is a whole file', () => {
    const files = new Map(blocks.filter(isCode).flatMap(({ file, text }): [string, string][] => (file === undefined ? [] : [[file, text]])));
    assert.equal(check(files, { checkJs: true }), '');
  });

  it('parses where it is a part of one', () => {
    const files = new Map(
      blocks.filter((block) => isCode(block) && block.file === undefined).map(({ page, line, text }) => [`${page.replaceAll(/\W/g, '-')}-line-${line}.js`, text]),
    );
    assert.equal(check(files, { checkJs: false }), '');
  });
});
