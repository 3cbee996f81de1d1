// The required tests in the JSON Schema test suite from Debian's `json-schema-test-suite`: no value
// is judged wrongly, and few schemas are refused. `.ci/run` installs the package.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { CheckBudget, compileSchema } from '../../src/base/schema/schema.ts';

interface Group {
  readonly description: string;
  readonly schema: boolean | Readonly<Record<string, unknown>>;
  readonly tests: readonly {
    readonly description: string;
    readonly data: unknown;
    readonly valid: boolean;
  }[];
}

interface Judged {
  right: number;
  readonly wrong: string[];
  /** How many cases have a schema that is refused, by the file in the suite. */
  readonly refused: Record<string, number>;
}

const DRAFT = 'draft7';
/** For schemas that name no dialect. */
const DIALECT = 'http://json-schema.org/draft-07/schema#';
/** Files in the suite that have schemas with remote references, which are refused by name. */
const MAY_REFUSE = ['definitions', 'ref', 'refRemote'];

const SUITE = '/usr/share/json-schema-test-suite/tests';
const IS_INSTALLED = existsSync(SUITE);

/** The suite's files by their names. What is in folders is optional. */
function suite(): Readonly<Record<string, readonly Group[]>> {
  const folder = join(SUITE, DRAFT);
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return Object.fromEntries(
    names.map((name) => [
      name.slice(0, -'.json'.length),
      JSON.parse(readFileSync(join(folder, name), 'utf8')) as readonly Group[],
    ]),
  );
}

function judge(): Judged {
  const files = suite();
  const judged: Judged = { right: 0, wrong: [], refused: {} };
  for (const [file, groups] of Object.entries(files)) {
    for (const { description, schema, tests } of groups) {
      const named = typeof schema === 'boolean' ? schema : { $schema: DIALECT, ...schema };
      let rule: ReturnType<typeof compileSchema>;
      try {
        rule = compileSchema(named, 'schema');
      } catch (error) {
        assert.ok(error instanceof TypeError, `${file}: ${description}: ${String(error)}`);
        judged.refused[file] = (judged.refused[file] ?? 0) + tests.length;
        continue;
      }
      for (const { description: what, data, valid } of tests) {
        if ((rule(data, new CheckBudget()) === undefined) === valid) judged.right += 1;
        else judged.wrong.push(`${file}: ${description}: ${what}`);
      }
    }
  }
  return judged;
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

describe('a schema from the JSON Schema test suite', { skip: !IS_INSTALLED }, () => {
  it(`judges every value of ${DRAFT} correctly, unless it is refused`, (t) => {
    const { right, wrong, refused } = judge();
    t.diagnostic(`${right} right, ${wrong.length} wrong, ${sumOf(refused)} refused`);
    assert.deepEqual(wrong, []);
    assert.deepEqual(
      Object.keys(refused).filter((file) => !MAY_REFUSE.includes(file)),
      [],
    );
    assert.ok(right > 350, String(right));
  });
});
