import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UsageError } from '../../../src/kit/terminal/command.ts';
import { parseFlags, parseTimeout } from '../../../src/kit/terminal/flags.ts';

const KNOWN = ['--url', '--secret'] as const;

describe('parseTimeout', () => {
  it('accepts a number of seconds above 0, up to a day', () => {
    assert.deepEqual(['0.5', '86400'].map(parseTimeout), [500, 86_400_000]);
    for (const wrong of ['0', '86401', '1e3', '2 s', 'x'])
      assert.throws(() => parseTimeout(wrong), /^UsageError: --timeout must be a number of seconds/);
  });
});

describe('parseFlags', () => {
  const read: readonly (readonly [argv: readonly string[], flags: object, words: string[]])[] = [
    [[], {}, []],
    [['--url', 'http://a'], { '--url': 'http://a' }, []],
    [['--url=http://a?b=c'], { '--url': 'http://a?b=c' }, []],
    [['--url', ' http://a '], { '--url': 'http://a' }, []],
    [['--url=a', '--url', 'b'], { '--url': 'b' }, []],
    [['one', '--url=a', 'two'], { '--url': 'a' }, ['one', 'two']],
    [['--url', '-a'], { '--url': '-a' }, []],
    [['--secret', '--sk'], { '--secret': '--sk' }, []],
    [['one', '--', '--url=a', '-b'], {}, ['one', '--url=a', '-b']],
  ];
  for (const [argv, flags, words] of read) {
    it(`reads ${JSON.stringify(argv)}`, () => {
      assert.deepEqual(parseFlags('talk', argv, KNOWN), { flags, switches: new Set(), words });
    });
  }

  const takes = 'it takes --url, --secret. Put words that begin with a dash after --';
  const refused: readonly (readonly [argv: readonly string[], message: string])[] = [
    [['--url'], '--url needs a value'],
    [['--url='], '--url needs a value'],
    [['--url', ' '], '--url needs a value'],
    [['--url', '--secret', 'x'], '--url needs a value'],
    [['--url', '--secret=x'], '--url needs a value'],
    [['--ur=hidden'], `--ur is not a flag of talk; ${takes}`],
    [['--urls'], `--urls is not a flag of talk; ${takes}`],
    [['-v'], `-v is not a flag of talk; ${takes}`],
    [[`--${'x'.repeat(50)}`], `--${'x'.repeat(37)}… is not a flag of talk; ${takes}`],
  ];
  for (const [argv, message] of refused) {
    it(`refuses ${JSON.stringify(argv).slice(0, 40)}, and shows no value`, () => {
      assert.throws(() => parseFlags('talk', argv, KNOWN), new UsageError(message));
    });
  }

  it('reads a switch, which has no value, wherever it is', () => {
    const argv = ['--retry', 'one', '--url', 'http://a', '--retry'];
    assert.deepEqual(parseFlags('talk', argv, KNOWN, ['--retry']), {
      flags: { '--url': 'http://a' }, switches: new Set(['--retry']), words: ['one'],
    });
  });

  it('refuses a switch with a value, and a switch in place of a value', () => {
    for (const [argv, message] of [
      [['--retry=3'], '--retry takes no value'],
      [['--url', '--retry'], '--url needs a value'],
      [['--retries'], /^--retries is not a flag of talk; it takes --url, --secret, --retry\./],
    ] as const) {
      assert.throws(() => parseFlags('talk', argv, KNOWN, ['--retry']), { message });
    }
  });

  it('says of a command without flags that it takes none', () => {
    assert.throws(() => parseFlags('list-agents', ['-x'], []), /list-agents; it takes none\. Put/);
  });
});
