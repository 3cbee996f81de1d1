// npm run check: what the pages look like, and where their links lead.

import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { dirname, join, normalize, resolve } from 'node:path';
import { describe, it } from 'node:test';

import { apiPage } from '../fixtures/api-page.ts';
import { codeBlocks, linksOf, pages, proseOf, readPage } from '../fixtures/pages.ts';
import { settingsPage } from '../fixtures/settings-pages.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { gluedWords, MAX_COLUMNS } from './text-look.ts';

describe('README.md', () => {
  it('has at most 300 lines', () => {
    const lines = readPage('README.md').trimEnd().split('\n').length;
    assert.ok(lines <= 300, `${lines} lines`);
  });
});

describe('docs/README.md', () => {
  it('links to every page of docs/', () => {
    const map = readPage('docs/README.md');
    const missing = pages
      .filter((page) => page.startsWith('docs/') && page !== 'docs/README.md')
      .filter((page) => !map.includes(`](${page.slice('docs/'.length)})`));
    assert.deepEqual(missing, []);
  });
});

describe('a page that a script writes', () => {
  const WRITTEN = [
    ['docs/api.md', 'api', apiPage],
    ['docs/settings.md', 'settings', settingsPage],
  ] as const;
  for (const [file, script, rewritten] of WRITTEN) {
    it(`is as \`npm run ${script}\` leaves it: ${file}`, () => {
      const text = readPage(file);
      assert.equal(text, rewritten(text));
    });
  }
});

describe('a link', () => {
  /** The anchors as GitHub makes them. */
  function anchorsOf(page: string): Set<string> {
    const seen = new Map<string, number>();
    const anchors = new Set<string>();
    for (const [, title = ''] of proseOf(page).matchAll(/^#{1,6} (.+)$/gm)) {
      const slug = title
        .replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(' ', '-');
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      anchors.add(count === 0 ? slug : `${slug}-${count}`);
    }
    return anchors;
  }

  for (const page of pages) {
    it(`in ${page} leads to an existing file and heading`, () => {
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

describe('a line of text', () => {
  /** Where a link leads does not count: nobody can break it. */
  const widthOf = (line: string): number => [...line.replaceAll(/\]\([^)]*\)/g, '](')].length;

  function numbered(text: string, first: number): [number: number, line: string][] {
    return text.split('\n').map((line, index) => [first + index, line]);
  }

  for (const page of pages) {
    it(`in ${page} ends by column ${MAX_COLUMNS}, tables and output aside`, () => {
      const prose = numbered(proseOf(page), 1).filter(([, line]) => !line.startsWith('|'));
      const code = codeBlocks
        .filter((block) => block.page === page && block.language !== '')
        .flatMap(({ text, line }) => numbered(text, line + 1));
      const long = [...prose, ...code].filter(([, line]) => widthOf(line) > MAX_COLUMNS);
      assert.deepEqual(long.map(([number, line]) => `${page}:${number} ${line}`), []);
    });
  }
});

describe('a paragraph of a page', () => {
  it('has no two words glued together', () => {
    const glued = pages.flatMap((page) =>
      gluedWords(proseOf(page)).map((word) => `${page}: ${word}`));
    assert.deepEqual(glued, []);
  });

  it('occurs only once on its page', () => {
    for (const page of pages) {
      const parts = proseOf(page).split(/\n\s*\n/);
      const paragraphs = parts.filter((text) => text !== '' && !text.startsWith('#'));
      const again = paragraphs.filter((text, index) => paragraphs.indexOf(text) < index);
      assert.deepEqual(again, [], page);
    }
  });
});
