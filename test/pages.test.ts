// What the pages say must be true of the code: settings, names, commands, routes, metrics, log
// messages, links, and the code they show.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize, resolve } from 'node:path';
import { after, describe, it } from 'node:test';

import { listAgents } from '../src/agents/built-in/registry.ts';
import { createApp } from '../src/app/create-app.ts';
import { init } from '../src/cli/commands/init.ts';
import { listAgents as listAgentsCommand } from '../src/cli/commands/list-agents.ts';
import { run } from '../src/cli/commands/run.ts';
import { webhook } from '../src/cli/commands/webhook.ts';
import { talk } from '../src/cli/talk/talk.ts';
import { turn } from '../src/cli/talk/turn.ts';
import { PROVIDERS } from '../src/models/providers.ts';
import { parseSettings } from '../src/settings/settings.ts';
import { settingRows } from '../src/settings/table.ts';
import { createTestClient } from '../src/test-client.ts';
import { codeBlocks, pages, proseOf, readPage, ROOT, typeErrors, wholeFiles, writeProject, type CodeBlock } from './fixtures/pages.ts';

const SRC = join(ROOT, 'src');
const agentsPage = readPage('docs/agents.md');
const apiPage = readPage('docs/api.md');
const errorsPage = readPage('docs/errors.md');
const modelsPage = readPage('docs/models.md');
const observabilityPage = readPage('docs/observability.md');
const settingsPage = readPage('docs/settings.md');
const wirePage = readPage('docs/wire.md');

function sourceFiles(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? sourceFiles(path) : [path];
  });
}

const source = sourceFiles(SRC)
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readFileSync(path, 'utf8'))
  .join('\n');

/** Whether a page has the name as a word of its own. */
function quotes(text: string, name: string): boolean {
  return new RegExp(`(?<![\\w$])${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?![\\w$])`).test(text);
}

describe('README.md', () => {
  it('has at most 300 lines', () => {
    const lines = readPage('README.md').trimEnd().split('\n').length;
    assert.ok(lines <= 300, `${lines} lines`);
  });
});

describe('docs/README.md', () => {
  it('links every page of docs/', () => {
    const map = readPage('docs/README.md');
    const missing = pages
      .filter((page) => page.startsWith('docs/') && page !== 'docs/README.md')
      .filter((page) => !map.includes(`](${page.slice('docs/'.length)})`));
    assert.deepEqual(missing, []);
  });
});

describe('docs/settings.md', () => {
  const ROW = /^\| `([A-Z][A-Z0-9_]*)` \| (`--.*?) \| (.*?) \| (.*?) \| (.*) \|$/gm;
  const table = new Map(
    [...settingsPage.matchAll(ROW)].map(([, variable = '', flags, shown, takes, meaning]) => [
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
    const found = [...settingsPage.matchAll(/^### (.*)\n\n\| variable /gm)].map(([, title]) => title);
    assert.deepEqual(found, [...new Set(settingRows.map(({ group }) => group))]);
  });

  const commands = [run, talk, turn, listAgentsCommand, init, webhook];
  const commandRows = [...settingsPage.matchAll(/^\| `([a-z][a-z-]*)[^`]*`(?:, `[^`]+`)* \| (.*) \|$/gm)];

  it('lists exactly the commands, in their order', () => {
    const [, table = ''] = /const COMMANDS[^{]*\{([^}]*)\}/.exec(readFileSync(join(SRC, 'cli.ts'), 'utf8')) ?? [];
    const names = [...table.matchAll(/^ +'?([\w-]+)'?: /gm)].map(([, name = '']) => name);
    assert.deepEqual(names, commands.map(({ name }) => name));
    assert.deepEqual(commandRows.map(([, name]) => name), names);
  });

  for (const { name, help } of commands) {
    it(`names no flag of ${name} that its --help lacks`, () => {
      const [, , meaning = ''] = commandRows.find(([, command]) => command === name) ?? [];
      const flags = [...meaning.matchAll(/`(--[a-z-]+)/g)].map(([, flag = '']) => flag);
      assert.deepEqual(flags.filter((flag) => !help.includes(flag)), []);
    });
  }
});

describe('docs/models.md', () => {
  it('lists every provider with its keys and its address', () => {
    const rows = new Map(
      [...modelsPage.matchAll(/^\| `([a-z]+)` \| (.*`[A-Z_]+_API_KEY`.*)$/gm)].map(([, name = '', rest = '']) => [name, rest]),
    );
    assert.deepEqual([...rows.keys()], Object.keys(PROVIDERS));
    for (const [name, { baseUrl = `${name.toUpperCase()}_BASE_URL`, keyNames }] of Object.entries(PROVIDERS)) {
      for (const part of [...keyNames, baseUrl]) assert.ok(rows.get(name)?.includes(`\`${part}\``), `${name}: ${part}`);
    }
  });

  it('names the model that each default provider speaks with', () => {
    for (const [name, { defaultModel }] of Object.entries(PROVIDERS)) {
      if (defaultModel !== undefined) assert.ok(modelsPage.includes(`\`${name}:${defaultModel}\``), name);
    }
  });
});

describe('docs/api.md', () => {
  for (const entry of ['index.ts', 'platform.ts', 'testing.ts']) {
    it(`has every name that src/${entry} exports`, () => {
      const exported = [...readFileSync(join(SRC, entry), 'utf8').matchAll(/^export (?:type )?\{([^}]+)\}/gm)]
        .flatMap(([, names = '']) => names.split(','))
        .map((name) => name.trim())
        .filter(Boolean);
      assert.ok(exported.length > 0);
      assert.deepEqual(exported.filter((name) => !quotes(apiPage, name)), []);
    });
  }
});

describe('docs/agents.md', () => {
  it('has every hook and field of an agent', () => {
    const files = ['agents/agent.ts', 'agents/model-agent.ts'];
    const definition = files.map((file) => readFileSync(join(SRC, file), 'utf8')).join('\n');
    const declared = [...definition.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm)].map(([, name = '']) => name);
    assert.ok(declared.includes('onInterrupted') && declared.includes('speakable'), declared.join());
    assert.deepEqual(declared.filter((name) => !quotes(agentsPage, name)), []);
  });

  it('has every built-in agent', () => {
    assert.deepEqual(listAgents().filter(({ name }) => !agentsPage.includes(`\`${name}\``)), []);
  });
});

describe('docs/observability.md', () => {
  it('has every metric, and none that is not there', async () => {
    const app = createApp(parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'whsec_pages' }, []), { name: 'none', onMessage: () => undefined });
    const served = [...app.metrics.text().matchAll(/^# TYPE (\S+) (\S+)/gm)].map(([, name, type]) => `${name} ${type}`);
    const listed = [...observabilityPage.matchAll(/^\| `(\w+)` \| (counter|gauge|histogram) \|/gm)].map(([, name, type]) => `${name} ${type}`);
    await app.close();
    assert.deepEqual(listed.toSorted(), served.toSorted());
  });
});

describe('docs/wire.md', () => {
  it('has every route of the app, and none that is not there', async () => {
    const app = createApp(parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'whsec_pages' }, []), { name: 'none', onMessage: () => undefined });
    const client = createTestClient(app, { secret: 'whsec_pages' });
    const answer = await fetch(`${await client.origin()}/openapi.json`);
    const { paths } = (await answer.json()) as { paths: Record<string, object> };
    await client.close();
    const routes = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    assert.ok(routes.length >= 6, routes.join());
    const listed = [...wirePage.matchAll(/^\| `((?:GET|POST) \/\S*)`/gm)].map(([, route = '']) => route);
    assert.deepEqual([...new Set(listed)].toSorted(), routes.toSorted());
  });
});

describe('docs/errors.md', () => {
  it('has every message that the server logs', () => {
    const logged = [...source.matchAll(/\blog\.(?:debug|info|warn|error)\('([^']+)'/g)].map(([, message = '']) => message);
    assert.ok(logged.length > 10, logged.join());
    assert.deepEqual([...new Set(logged)].filter((message) => !errorsPage.includes(`\`${message}\``)), []);
  });

  it('lists no log message that is not in the code', () => {
    const listed = [...errorsPage.matchAll(/^\| (?:debug|info|warn|error) \| (.*?) \|/gm)].flatMap(([, cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(([, message = '']) => message));
    const known = (message: string): boolean => source.includes(`'${message}'`) || / failed$/.test(message) && source.includes('`${event.type} failed`');
    assert.deepEqual(listed.filter((message) => !known(message)), []);
  });

  it('has every code of a model\'s error', () => {
    const [, union = ''] = /export type ModelErrorCode =([^;]+);/.exec(source) ?? [];
    const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code = '']) => code);
    assert.ok(codes.length > 10, union);
    assert.deepEqual(codes.filter((code) => !errorsPage.includes(`\`${code}\``)), []);
  });

  it('has every fixed sentence that a client can be answered', () => {
    const sentences = [...source.matchAll(/new (?:HttpError\(\d+, |BadRequest\(|ServiceUnavailable\()'((?:[^'\\]|\\.)+)'/g)].map(([, text = '']) => text.replaceAll('\\\'', '\''));
    assert.ok(sentences.length > 10, sentences.join('\n'));
    assert.deepEqual([...new Set(sentences)].filter((sentence) => !errorsPage.includes(sentence)), []);
  });
});

describe('package.json', () => {
  const manifest = JSON.parse(readPage('package.json')) as { readonly license: string; readonly scripts: Record<string, string> } & Record<string, unknown>;

  it('names no home page, repository, author or place for bugs before there is one', () => {
    assert.deepEqual(['homepage', 'repository', 'author', 'bugs'].filter((field) => field in manifest), []);
  });

  it('has the licence that LICENSE has', () => {
    assert.ok(readPage('LICENSE').startsWith(`${manifest.license} License`));
  });

  it('has every npm script that a page or another script names', () => {
    const texts = [...pages.map((page) => [page, readPage(page)] as const), ['package.json', JSON.stringify(manifest.scripts)] as const];
    for (const [place, text] of texts) {
      const named = [...text.matchAll(/\bnpm (?:run (?:--silent )?([\w:-]+)|(test|start)\b)/g)].map(([, run, short]) => run ?? short ?? '');
      assert.deepEqual(named.filter((script) => !Object.hasOwn(manifest.scripts, script)), [], place);
    }
  });

  it('packs whatever a packed page links', () => {
    const { npm_execpath: npmCli, npm_node_execpath: npmNode = process.execPath } = process.env;
    const [file, ...argv] = npmCli === undefined ? ['npm'] : [npmNode, npmCli];
    const listing = execFileSync(file ?? 'npm', [...argv, 'pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [packed] = Object.values(JSON.parse(listing) as { readonly files: readonly { readonly path: string }[] }[]);
    const paths = packed?.files.map(({ path }) => path) ?? [];
    const packedPages = pages.filter((page) => paths.includes(page));
    assert.deepEqual(['README.md', 'docs/README.md', 'docs/errors.md'].filter((page) => !packedPages.includes(page)), []);
    const lost = packedPages.flatMap((page) =>
      linksOf(page)
        .map(({ path }) => normalize(join(dirname(page), path)))
        .filter((target) => !paths.some((path) => path === target || path.startsWith(target.replace(/\/?$/, '/'))))
        .map((target) => `${page} links ${target}`),
    );
    assert.deepEqual(lost, []);
  });
});

interface Link {
  readonly text: string;
  /** Relative to the page; empty for a heading of the page itself. */
  readonly path: string;
  readonly anchor: string | undefined;
}

/** The links and pictures of a page that lead to a file or a heading of the repository. */
function linksOf(page: string): Link[] {
  return [...proseOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(([text, path = '', anchor]) => ({
    text,
    path: path === '' ? page.slice(page.lastIndexOf('/') + 1) : path,
    anchor,
  }));
}

describe('a link of the pages', () => {
  /** As GitHub makes them. */
  function anchorsOf(page: string): Set<string> {
    const seen = new Map<string, number>();
    const anchors = new Set<string>();
    for (const [, title = ''] of proseOf(page).matchAll(/^#{1,6} (.+)$/gm)) {
      const slug = title.replace(/\[([^\]]+)\]\([^)]*\)/g, '$1').toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').trim().replaceAll(' ', '-');
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      anchors.add(count === 0 ? slug : `${slug}-${count}`);
    }
    return anchors;
  }

  for (const page of pages) {
    it(`in ${page} leads to a file and a heading that are there`, () => {
      const dead = linksOf(page).filter(({ path, anchor }) => {
        const target = normalize(join(dirname(page), path));
        const file = resolve(ROOT, target);
        if (!existsSync(file)) return true;
        return anchor !== undefined && statSync(file).isFile() && !anchorsOf(target).has(anchor);
      });
      assert.deepEqual(dead.map(({ text }) => text), []);
    });
  }
});

describe('a line of the pages', () => {
  const MAX_COLUMNS = 100;
  /** Where a link leads does not count: nobody can break it. */
  const widthOf = (line: string): number => [...line.replaceAll(/\]\([^)]*\)/g, '](')].length;

  for (const page of pages) {
    it(`in ${page} ends by column ${MAX_COLUMNS}, tables and output aside`, () => {
      const prose = proseOf(page).split('\n').map((line, index) => [index + 1, line] as const);
      const code = codeBlocks
        .filter((block) => block.page === page && block.language !== '')
        .flatMap(({ line, text }) => text.split('\n').map((content, index) => [line + 1 + index, content] as const));
      const long = [...prose.filter(([, line]) => !line.startsWith('|')), ...code].filter(([, line]) => widthOf(line) > MAX_COLUMNS);
      assert.deepEqual(long.map(([number, line]) => `${page}:${number} ${line}`), []);
    });
  }
});

describe('the commands of the pages', () => {
  it('give the server flags that are there', () => {
    const flags = new Set([...settingRows.flatMap(({ flags }) => flags), '--settings-file', '--help', '--version']);
    for (const page of pages) {
      const named = [...readPage(page).matchAll(/layercode-microserver (--[a-z-]+)/g)].map(([, flag = '']) => flag);
      assert.deepEqual(named.filter((flag) => !flags.has(flag)), [], page);
    }
  });
});

describe('the code of the pages', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pages-code-'));
  after(() => rmSync(directory, { recursive: true, force: true }));
  const isCode = ({ language }: CodeBlock): boolean => language === 'js' || language === 'ts';

  it('has whole files to speak of, each named once', () => {
    const names = codeBlocks.flatMap(({ file }) => file ?? []);
    assert.ok(names.length >= 8, names.join());
    assert.equal(new Set(names).size, names.length);
  });

  it('type-checks where it is a whole file', () => {
    assert.equal(typeErrors(writeProject(directory, wholeFiles({ needsPeers: false }), { compilerOptions: { checkJs: true } })), '');
  });

  it('parses where it is a part of one', () => {
    const files = new Map(
      codeBlocks
        .filter((block) => isCode(block) && block.file === undefined)
        .map(({ page, line, text }) => [`${page.replaceAll(/\W/g, '-')}-line-${line}.js`, text]),
    );
    assert.equal(typeErrors(writeProject(directory, files, { compilerOptions: { checkJs: false } })), '');
  });

  it('passes where it is a test', () => {
    const files = wholeFiles({ needsPeers: false });
    const tests = [...files.keys()].filter((name) => /\.test\.[jt]s$/.test(name));
    assert.ok(tests.length >= 2, tests.join());
    const folder = writeProject(directory, files);
    const { NODE_TEST_CONTEXT: _outer, ...environment } = process.env;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', import.meta.resolve('tsx'), '--test', ...tests], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...environment, TSX_TSCONFIG_PATH: join(folder, 'tsconfig.json') },
    });
    assert.equal(status, 0, stdout + stderr);
  });
});
