// npm run check: what the code looks like. Reads it as text: TypeScript 7 has no JavaScript API.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { filesBelow, ROOT } from '../fixtures/source-files.ts';
import { gluedWords, MAX_COLUMNS } from './text-look.ts';

/** A sort key for import paths: a path that stands higher has a smaller key. */
function rankOf(path: string): string {
  return path.startsWith('.') ? `1 ${9 - path.split('../').length} ${path}` : `0 ${path}`;
}

const MODIFIERS = /(?:(?:export|async|static|function\*?|get|set) )*/.source;
const PARAMETERS = new RegExp(
  String.raw`^( *)${MODIFIERS}#?\w+(?:<.*>)?\(\n((?:\1 .*\n)+)\1\)(?::| \{)`, 'gm',
);

describe('src', () => {
  const sources = filesBelow('src')
    .filter((file) => file.endsWith('.ts'))
    .map((file) => ({ file, text: readFileSync(join(ROOT, file), 'utf8') }));
  const wrong = (isWrong: (text: string) => boolean): string[] =>
    sources.filter(({ text }) => isWrong(text)).map(({ file }) => file);

  it("imports Node's modules, then, after a blank line, files by path, the nearest last", () => {
    assert.deepEqual(wrong((text) => {
      const [block = ''] = /^import\b[^;]*;\n(?:\n?import\b[^;]*;\n)*/m.exec(text) ?? [];
      const groups = block.split('\n\n').map((group) =>
        [...group.matchAll(/'([^']+)'(?: with [^;]*)?;/g)].map(([, path = '']) => rankOf(path)));
      const ranks = groups.flat().sort();
      const expected = ['0', '1'].map((kind) => ranks.filter((rank) => rank.startsWith(kind)));
      return groups.join('\n') !== expected.filter(({ length }) => length > 0).join('\n');
    }), []);
  });

  it('imports values, then types, each in alphabetical order', () => {
    assert.deepEqual(wrong((text) =>
      [...text.matchAll(/^import (?:type )?\{([^}]*)\}/gm)].some(([, names = '']) => {
        const ranks = names.split(',').map((name) => name.trim()).filter(Boolean)
          .map((name) => `${name.startsWith('type ') ? 1 : 0} ${name.toLowerCase()}`);
        return ranks.join() !== ranks.toSorted().join();
      })), []);
  });

  it('has operators at the beginning of lines, and never at the end', () =>
    assert.deepEqual(wrong((text) => /^(?! *(?:\*|\/\/)).* (?:&&|\|\||\?\?|\+)$/m.test(text)), []));

  it('has all parameters beside the name of the function, or one on each line', () => {
    const isShared = /^ *(?:\w+|\{.*\})\??: [^,<({]*, ./m;
    assert.deepEqual(wrong((text) =>
      [...text.matchAll(PARAMETERS)].some(([, , lines = '']) => isShared.test(lines))), []);
  });
});

/** Text in quotes, or a regular expression. */
const LITERAL = new RegExp([
  /'(?:[^'\\]|\\.)*'/, /"(?:[^"\\]|\\.)*"/, /`(?:[^`\\]|\\.)*`/,
  /\/(?![/*])(?:[^/\\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+\//,
].map(({ source }) => source).join('|'), 'g');

/** Lines of these files hold pages' scripts, types to compare, or what another program prints. */
const HOLDS_TEXTS = /^(?:test\/types|bench\/model|test\/kit\/tunnel\/fake-)/;

/**
 * Lines that are too wide and could be broken: not links, one long string, or a line inside a
 * template.
 */
function wideLines(file: string): string[] {
  let isInText = false;
  return readFileSync(join(ROOT, file), 'utf8')
    .split('\n')
    .flatMap((line, index) => {
      const wasInText = isInText;
      if ((line.match(/(?<!\\)`/g)?.length ?? 0) % 2 === 1) isInText = !isInText;
      const isText = wasInText || isInText || /https?:\/\//.test(line);
      if ([...line].length <= MAX_COLUMNS || isText) return [];
      const longest = Math.max(0, ...[...line.matchAll(LITERAL)].map(([text]) => text.length));
      return line.length - longest <= 60 ? [] : [`${file}:${index + 1}`];
    });
}

describe('a line of code', () => {
  for (const folder of ['src', 'test', 'bench', 'scripts', 'examples', 'assets/templates']) {
    it(`in ${folder} ends by column ${MAX_COLUMNS}`, () => {
      const paths = filesBelow(folder)
        .filter((path) => /\.(?:ts|mjs)$/.test(path) && !HOLDS_TEXTS.test(path));
      assert.ok(paths.length > 0);
      assert.deepEqual(paths.flatMap(wideLines), []);
    });
  }
});

describe('the name of a test', () => {
  it('has no two words glued together', () => {
    const names = filesBelow('test').filter((path) => path.endsWith('.ts')).flatMap((path) => {
      const source = readFileSync(join(ROOT, path), 'utf8');
      return [...source.matchAll(/\b(?:it|describe)\(\s*(['"`])((?:(?!\1).)*)\1/g)]
        .map(([, , name = '']) => `${path}: ${name}`);
    });
    assert.ok(names.length > 1_000, String(names.length));
    assert.deepEqual(names.filter((name) => gluedWords(name).length > 0), []);
  });
});

describe('test/same-on-every-node.txt', () => {
  it('names existing test files', () => {
    const lines = readFileSync(join(ROOT, 'test/same-on-every-node.txt'), 'utf8').trim().split('\n');
    assert.ok(lines.length > 100);
    const files = filesBelow('test');
    assert.deepEqual(lines.filter((line) => !files.includes(line)), []);
  });
});
