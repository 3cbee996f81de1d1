import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Environment } from '../../../src/base/environment.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { rows, settingRows } from '../../../src/server/settings/table.ts';
import { problemsOf, secret } from './settings-problems.ts';

describe('parseSettings, given secrets,', () => {
  it('hides a secret that was put into another variable too', () => {
    const given = { OPENAI_API_KEY: 'sk-misplaced', PORT: 'sk-misplaced80' };
    assert.deepEqual(problemsOf(given), ['PORT must be 0–65535, got "…80"']);
  });

  it('lets a secret begin with dashes, unless it is a flag', () => {
    const { environment } = parseSettings({}, ['--openai-api-key', '--sk-1']);
    assert.equal(environment['OPENAI_API_KEY'], '--sk-1');
  });

  it('collects secret values of six characters and more for the log, the longest first', () => {
    const { secrets } = parseSettings(
      {
        LAYERCODE_WEBHOOK_SECRET: `${secret},second-secret`,
        LAYERCODE_API_KEY: 'layercode-key',
        OPENAI_API_KEY: 'short',
        MISTRAL_API_KEY: 'mistral8',
        GITHUB_TOKEN: 'a-token-of-another-program',
        redis_password: 'layercode-key',
        SECRETARY: 'not-a-secret',
      },
      ['--anthropic-api-key=by-flag-key'],
    );
    assert.deepEqual(secrets, [
      'a-token-of-another-program',
      secret,
      'second-secret',
      'layercode-key',
      'by-flag-key',
      'mistral8',
    ]);
  });

  /** Secrets that this server sends. Whoever checks them takes the new one at once. */
  const SENT = [
    'ANTHROPIC_API_KEY', 'CONVERSATION_STORE', 'GOOGLE_GENERATIVEAI_API_KEY', 'LAYERCODE_API_KEY',
    'OPENAI_API_KEY',
  ];

  for (const { variable, secret: isSecret, parse } of Object.values(rows)) {
    if (!isSecret || SENT.includes(variable)) continue;
    it(`takes several in ${variable}, so that it can be rotated`, () => {
      const both = [`old-${'x'.repeat(32)}`, `new-${'x'.repeat(32)}`];
      assert.deepEqual(parse(both.join(',')), both);
    });
  }

  it("collects the user and the password in a store's URL, as written and decoded", () => {
    const secretsOf = (url: string): readonly string[] =>
      parseSettings({ CONVERSATION_STORE: url }, []).secrets;
    assert.deepEqual(secretsOf('redis://call-bot:p%40ss%20word@host/1'), [
      'p%40ss%20word', 'p@ss word', 'call-bot',
    ]);
    assert.deepEqual(secretsOf('rediss://:with:colons@host'), ['with:colons']);
    assert.deepEqual(secretsOf('redis://:%xx-wrong@host'), ['%xx-wrong']);
    assert.deepEqual(secretsOf('redis://host:6379/1'), []);
  });

  it('hands models the environment with flags, values trimmed and empty ones left out', () => {
    const { environment } = parseSettings(
      {
        OPENAI_API_KEY: 'from-environment',
        GROQ_API_KEY: 'groq-key\n',
        OPENAI_BASE_URL: 'http://localhost:11434/v1/',
        HOME: '/root',
        XAI_API_KEY: '',
      },
      ['--openai-api-key', 'from-flag', '--port=1'],
    );
    assert.deepEqual(environment, {
      OPENAI_API_KEY: 'from-flag',
      GROQ_API_KEY: 'groq-key',
      OPENAI_BASE_URL: 'http://localhost:11434/v1',
      HOME: '/root',
      PORT: '1',
    });
  });

  it('refuses a secret that cannot be right', () => {
    const refused: readonly (readonly [variable: string, value: string, problem: string])[] = [
      ['LAYERCODE_WEBHOOK_SECRET', ', ,', 'LAYERCODE_WEBHOOK_SECRET must name at least one'],
      ...['whsec_4f1d 0c2b', 'whsec_4f1d\u200b0c2b', 'whsec_4f1d\u00000c2b'].map((value) => [
        'LAYERCODE_WEBHOOK_SECRET',
        value,
        'LAYERCODE_WEBHOOK_SECRET must not contain spaces, line breaks or invisible characters',
      ] as const),
      [
        'LAYERCODE_WEBHOOK_SECRET',
        `"${secret}"`,
        'LAYERCODE_WEBHOOK_SECRET must not be wrapped in quotes',
      ],
      [
        'LAYERCODE_API_KEY',
        'ключ-ключ',
        'LAYERCODE_API_KEY must be plain ASCII: it is sent in a header',
      ],
    ];
    for (const [variable, value, problem] of refused)
      assert.deepEqual(problemsOf({ [variable]: value }), [problem]);
  });

  it('never shows a secret in a problem, wherever it was put', () => {
    const spoilt = `${secret} \u0007`;
    const tries: readonly (readonly [environment: Environment, argv: readonly string[]])[] = [
      ...settingRows
        .filter((row) => row.secret)
        .flatMap(({ variable, flags: [flag = ''] }) => [
          [{ [variable]: `${spoilt}x` }, []] as const,
          [{}, [`${flag}=${spoilt}x`]] as const,
          [{}, [flag, `${spoilt}x`]] as const,
          [{}, [flag, `--${secret} x`]] as const,
          [{}, [flag, 'first-half', secret]] as const,
        ]),
      [{}, ['--webhook-secret', secret]],
      [{}, [`--webhook-secret=${secret}`]],
      [{ OTHER_TOKEN: secret }, [secret]],
      [
        {
          OTHER_TOKEN: secret,
          PORT: secret,
          LAYERCODE_API_URL: `https://a/${secret}`,
          CORS_ORIGINS: `https://a/${secret}/x`,
        },
        [],
      ],
      [{ OPENAI_BASE_URL: `https://user:${secret}@host` }, []],
      [{ OPENAI_BASE_URL: `//user:${secret}@host` }, []],
    ];
    for (const [environment, argv] of tries) {
      const problems = problemsOf(environment, argv);
      assert.notDeepEqual(problems, [], JSON.stringify([environment, argv]));
      for (const problem of problems) assert.ok(!problem.includes(secret), problem);
    }
  });
});
