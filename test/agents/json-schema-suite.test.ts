// The required tests of https://github.com/json-schema-org/JSON-Schema-Test-Suite, commit 44401e0:
// no value is judged wrongly, and few schemas are refused.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { Check } from '../../src/agents/schema-keyword.ts';
import { ruleOf } from '../../src/agents/schema-rules.ts';

interface Group {
  readonly description: string;
  readonly schema: boolean | Readonly<Record<string, unknown>>;
  readonly tests: readonly { readonly description: string; readonly data: unknown; readonly valid: boolean }[];
}

interface Judged {
  right: number;
  readonly wrong: string[];
  /** How many cases have a schema that is refused, by the file of the suite. */
  readonly refused: Record<string, number>;
}

/** `dialect`: for schemas that do not name theirs. */
function judge(draft: string, dialect?: string): Judged {
  const url = new URL(`../fixtures/json-schema-test-suite/${draft}.json`, import.meta.url);
  const files = JSON.parse(readFileSync(url, 'utf8')) as Readonly<Record<string, readonly Group[]>>;
  const judged: Judged = { right: 0, wrong: [], refused: {} };
  for (const [file, groups] of Object.entries(files)) {
    for (const { description, schema, tests } of groups) {
      const named = dialect === undefined || typeof schema === 'boolean' ? schema : { $schema: dialect, ...schema };
      let rule: ReturnType<typeof ruleOf>;
      try {
        rule = ruleOf(named, 'schema');
      } catch (error) {
        assert.ok(error instanceof TypeError, `${file}: ${description}: ${String(error)}`);
        judged.refused[file] = (judged.refused[file] ?? 0) + tests.length;
        continue;
      }
      for (const { description: what, data, valid } of tests) {
        if ((rule(data, new Check()) === undefined) === valid) judged.right += 1;
        else judged.wrong.push(`${file}: ${description}: ${what}`);
      }
    }
  }
  return judged;
}

describe('the JSON Schema test suite', () => {
  it('is right in all of draft 2020-12 but remote references and unevaluated*', () => {
    const { right, wrong, refused } = judge('draft2020-12');
    assert.deepEqual(wrong, []);
    assert.deepEqual(refused, {
      anchor: 8, defs: 2, dynamicRef: 44, not: 2, ref: 35, refRemote: 31, unevaluatedItems: 71,
      unevaluatedProperties: 129, vocabulary: 5,
    });
    assert.equal(right, 972);
  });

  it('is right in all of draft 7 but remote references', () => {
    const { right, wrong, refused } = judge('draft7', 'http://json-schema.org/draft-07/schema#');
    assert.deepEqual(wrong, []);
    assert.deepEqual(refused, { definitions: 2, ref: 34, refRemote: 23 });
    assert.equal(right, 868);
  });
});
