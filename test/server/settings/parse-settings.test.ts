import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PROVIDERS } from '../../../src/core/models/providers.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { SettingsError, type Settings } from '../../../src/server/settings/settings.ts';
import { settingRows } from '../../../src/server/settings/table.ts';
import { problemsOf, secret } from './settings-problems.ts';

describe('parseSettings', () => {
  // Bounds and defaults are in docs/settings.md, which help.test.ts compares with the table.
  it('has a working default for everything outside production', () => {
    const settings = parseSettings({}, []);
    const kept = Object.entries(settings).filter(([, value]) => value !== undefined);
    const { port, host, production, playground, drainDelaySeconds, workers } = settings;
    assert.deepEqual(
      [port, host, production, playground, drainDelaySeconds, workers],
      [8000, '0.0.0.0', false, true, 0, 1],
    );
    const empty = kept.filter(([, value]) =>
      typeof value === 'object' && Object.keys(value as object).length === 0);
    assert.deepEqual(empty.map(([name]) => name).toSorted(), [
      'agentKeys', 'agentSecrets', 'agents', 'chatCompletionsKeys', 'elevenLabsWebhookSecrets',
      'environment', 'layercodeAgentIds', 'models', 'redactionKeys', 'secrets',
      'vapiWebhookSecrets', 'webhookSecrets',
    ]);
  });

  it('reads each value by its variable', () => {
    const accepted: readonly (readonly [
      variable: string,
      value: string,
      key: keyof Settings,
      expected: unknown,
    ])[] = [
      ['NODE_ENV', 'test', 'production', false],
      ['HOST', '127.0.0.1', 'host', '127.0.0.1'],
      ['HOST', '[::1]', 'host', '::1'],
      ['HOST', 'voice_1.internal', 'host', 'voice_1.internal'],
      ['PORT', '0', 'port', 0],
      ['PORT', ' 3000\r', 'port', 3000],
      ['AGENT', './my agent.js', 'agent', './my agent.js'],
      ['DEFAULT_MODEL', 'openai:gpt-6-luna', 'models', ['openai:gpt-6-luna']],
      ['DEFAULT_MODEL', 'openai:a, ollama:llama3:8b ,', 'models', ['openai:a', 'ollama:llama3:8b']],
      ['AUTHORIZE_ROUTE', '/v1/auth-orize/', 'authorizeRoute', '/v1/auth-orize/'],
      ['LAYERCODE_WEBHOOK_SECRET', `${secret}\n`, 'webhookSecrets', [secret]],
      [
        'LAYERCODE_WEBHOOK_SECRET',
        `${secret}, 8letters,${secret}`,
        'webhookSecrets',
        [secret, '8letters'],
      ],
      ['LAYERCODE_AGENT_ID', 'ag-1,ag-2', 'layercodeAgentIds', ['ag-1', 'ag-2']],
      [
        'LAYERCODE_API_URL',
        'HTTP://LocalHost:9000/base//',
        'layercodeApiUrl',
        'http://localhost:9000/base',
      ],
      [
        'CORS_ORIGINS',
        'https://App.example:443/, http://localhost:5173',
        'corsOrigins',
        ['https://app.example', 'http://localhost:5173'],
      ],
      ['CORS_ORIGINS', 'https://müller.example', 'corsOrigins', ['https://xn--mller-kva.example']],
      ['CORS_ORIGINS', 'capacitor://localhost', 'corsOrigins', ['capacitor://localhost']],
      ['LOG_LEVEL', 'WARN', 'logLevel', 'warn'],
      ['CONVERSATION_STORE', 'Memory', 'conversationStore', 'memory'],
      ['CONVERSATION_STORE', 'SQLite:./My calls.db', 'conversationStore', 'sqlite:./My calls.db'],
      ['CONVERSATION_STORE', 'redis://u:p@host/1', 'conversationStore', 'redis://u:p@host/1'],
      ['CONVERSATION_STORE', 'rediss+sentinel://a,b/main', 'conversationStore',
        'rediss+sentinel://a,b/main'],
      ['SQLITE_SYNCHRONOUS', 'FULL', 'sqliteSynchronous', 'full'],
      ['ONCE_CLAIMS', 'Stored', 'onceClaims', { replicas: 0, isOnDisk: false }],
      ['CALL_RECORDS', 'File:./My calls.jsonl', 'callRecords', 'file:./My calls.jsonl'],
      ['TURN_TIMEOUT_SECONDS', '0.2', 'turnTimeoutSeconds', 0.2],
      ['TURN_TIMEOUT_SECONDS', '86400', 'turnTimeoutSeconds', 86_400],
      ['FIRST_WORD_TIMEOUT_SECONDS', '.001', 'firstWordTimeoutSeconds', 0.001],
      ['DRAIN_DELAY_SECONDS', '1.5', 'drainDelaySeconds', 1.5],
      ['TEMPERATURE', '.35', 'temperature', 0.35],
      ['TEMPERATURE', '2', 'temperature', 2],
    ];
    for (const [variable, value, key, expected] of accepted) {
      assert.deepEqual(
        parseSettings({ [variable]: value }, [])[key],
        expected,
        `${variable}=${value}`,
      );
    }
  });

  it('understands yes and no in eight spellings and any case', () => {
    for (const yes of ['true', '1', 'yes', 'on', 'TRUE', 'On'])
      assert.equal(parseSettings({ TRUST_PROXY: yes }, []).trustProxy, true);
    for (const no of ['false', '0', 'no', 'off', 'FALSE', 'No'])
      assert.equal(parseSettings({ METRICS: no }, []).metrics, false);
    assert.deepEqual(problemsOf({ METRICS: 'maybe' }), [
      'METRICS must be true or false, got "maybe"',
    ]);
  });

  it('refuses what is out of range or malformed, naming variable, value and remedy', () => {
    const refused: readonly (readonly [
      variable: string, value: string, must: string, shown?: string,
    ])[] = [
      ['TEMPERATURE', '2.1', 'be a number from 0 to 2'],
      ['TEMPERATURE', '1e-1', 'be a number from 0 to 2'],
      ['CALL_RECORDS', 'stdout', 'be store or file:<path>'],
      ['CALL_RECORDS', 'file:', 'be store or file:<path>'],
      ['CALL_RECORDS', 'file://a', 'be file:<path>, without //'],
      ['CALL_RECORDS', 'file:a/', 'name a file, not a folder'],
      ['CALL_RECORDS', 'file:..', 'name a file, not a folder'],
      ['PORT', '80a', 'be 0–65535'],
      ['PORT', '65536', 'be 0–65535'],
      ['PORT', '1e3', 'be 0–65535'],
      ['PORT', '80.5', 'be a whole number, 0–65535'],
      ['PORT', '9'.repeat(80), 'be 0–65535'],
      ['PORT', '9'.repeat(81), 'be 0–65535', `${'9'.repeat(79)}…`],
      ['HOST', 'localhost:8000', 'be a host name or an IP address, without a port'],
      ['AGENT', 'a\u0007b', 'be a line of text', 'a\\u0007b'],
      ['DEFAULT_MODEL', 'gpt-6-luna', 'be provider:model, for example openai:gpt-6-luna'],
      ['DEFAULT_MODEL', 'openai:a,b', 'be provider:model, for example openai:gpt-6-luna'],
      ['DEFAULT_MODEL', ' , ', 'name at least one', ','],
      ['SLOW_MODEL', 'openai:a,openai:b', 'be provider:model, for example openai:gpt-6-luna'],
      ['AGENT_ROUTE', 'api/agent', 'start with /'],
      ['AGENT_ROUTE', '/api//agent', 'not contain //'],
      ['AGENT_ROUTE', '/api/../agent', 'not contain /./ or /../'],
      ['AGENT_ROUTE', '/api/:id', 'not contain : * ? # % or anything a URL would encode'],
      ['AUTHORIZE_ROUTE', '/a?b=c', 'not contain : * ? # % or anything a URL would encode', '/a?…'],
      ['AUTHORIZE_ROUTE', '/a b', 'not contain : * ? # % or anything a URL would encode'],
      [
        'CONVERSATION_STORE', 'mongodb://user:pass@host/calls?a=b',
        'be memory, sqlite:<path> or redis://<host>', '…@host/calls?…',
      ],
      ['CONVERSATION_STORE', 'sqlite:', 'be memory, sqlite:<path> or redis://<host>'],
      ['CONVERSATION_STORE', 'sqlite://calls.db', 'be sqlite:<path>, without //'],
      ['ONCE_CLAIMS', 'replicated:0', 'be stored, fsynced, replicated or replicated:<number>'],
      ['LAYERCODE_AGENT_ID', ',', 'name at least one'],
      ['LAYERCODE_AGENT_ID', 'a b', 'be one word'],
      ['LAYERCODE_API_URL', 'api.layercode.com', 'be an http:// or https:// URL'],
      [
        'LAYERCODE_API_URL', 'https://u:hunter2@a',
        'be a URL without user name or password', '…@a',
      ],
      ['OPENAI_BASE_URL', 'https://a/v1?key=hunter2', 'be a URL without ? or #', 'https://a/v1?…'],
      ['CORS_ORIGINS', '*,https://a.example', 'be either * or a list of origins'],
      ['CORS_ORIGINS', 'https://*.a.example', 'list each origin in full: * is only allowed alone'],
      ['CORS_ORIGINS', 'a.example', 'be * or origins like https://app.example, without a path'],
      [
        'CORS_ORIGINS', 'https://a.example/x',
        'be * or origins like https://app.example, without a path',
      ],
      ['LOG_LEVEL', 'verbose', 'be debug, info, warn, error or silent'],
      ['MAX_BODY_BYTES', '1mb', 'be 1–104857600 bytes'],
      ['TURN_TIMEOUT_SECONDS', '0', 'be 0.001–86400 seconds'],
      ['TURN_TIMEOUT_SECONDS', '86400.001', 'be 0.001–86400 seconds with at most 3 decimals'],
      ['HEARTBEAT_SECONDS', '0.0001', 'be 0–86400 seconds with at most 3 decimals'],
    ];
    for (const [variable, value, must, shown = value] of refused)
      assert.deepEqual(problemsOf({ [variable]: value }), [
        `${variable} must ${must}, got "${shown}"`,
      ]);
  });

  it('asks whether a misspelt NODE_ENV means production', () => {
    for (const name of ['prod', 'PROD', 'prodcution'])
      assert.deepEqual(problemsOf({ NODE_ENV: name }), [
        `NODE_ENV is "${name}": did you mean "production"?`,
      ]);
  });

  it('reports every problem at once, in one error of one line', () => {
    assert.throws(
      () => parseSettings({ PORT: 'x', LOG_LEVEL: 'loud' }, ['--prot=1', '--metrics=perhaps']),
      (error) => {
        assert.ok(error instanceof SettingsError);
        assert.deepEqual(error.problems, [
          '--prot is not a flag; did you mean --port?',
          'PORT must be 0–65535, got "x"',
          'LOG_LEVEL must be debug, info, warn, error or silent, got "loud"',
          '--metrics must be true or false, got "perhaps"',
        ]);
        assert.equal(error.name, 'SettingsError');
        assert.equal(error.code, 'INVALID_SETTINGS');
        assert.equal(error.message, error.problems.join('; '));
        return true;
      },
    );
  });

  it('refuses workers without a store that they can share, and says what to set', () => {
    const reason =
      'must be 1: conversations in memory belong to one process; '
      + 'set CONVERSATION_STORE, for example to sqlite:calls.db (Node 22.13 or later)';
    assert.deepEqual(problemsOf({ WORKERS: '2' }), [`WORKERS ${reason}`]);
    assert.deepEqual(problemsOf({}, ['--workers=auto']), [`--workers ${reason}`]);
    assert.deepEqual(problemsOf({ WORKERS: '2', CONVERSATION_STORE: 'sqlite:c.db' }), []);
    const takes = 'WORKERS must be 1–256 or auto';
    assert.deepEqual(problemsOf({ WORKERS: '0' }), [`${takes}, got "0"`]);
    assert.deepEqual(problemsOf({ WORKERS: 'all' }), [`${takes}, got "all"`]);
  });

  it('turns the playground off for workers, and refuses both together', () => {
    const shared = { WORKERS: 'auto', CONVERSATION_STORE: 'sqlite:c.db' };
    assert.equal(parseSettings(shared, []).workers, 'auto');
    assert.equal(parseSettings(shared, []).playground, false);
    assert.deepEqual(problemsOf({ ...shared, PLAYGROUND: 'true' }), [
      'PLAYGROUND must be false with workers: its calls live in one process; set WORKERS=1',
    ]);
  });

  it('lets claims wait only for what the store has: a disk, or replicas', () => {
    const remedy = 'set CONVERSATION_STORE to the URL of a Redis';
    const [redis, sqlite] = ['redis://cache', 'sqlite:c.db'];
    const none = 'ONCE_CLAIMS must not be replicated: only a Redis has replicas';
    for (const [claims, store, problem] of [
      ['stored', 'memory', undefined],
      ['fsynced', 'memory', 'ONCE_CLAIMS must be stored: conversations in memory are on no disk'],
      ['fsynced', sqlite, undefined],
      ['fsynced', redis, undefined],
      ['replicated', 'memory', none],
      ['replicated:2', sqlite, none],
      ['replicated:2', redis, undefined],
    ] as const)
      assert.deepEqual(
        problemsOf({ ONCE_CLAIMS: claims, CONVERSATION_STORE: store }),
        problem === undefined ? [] : [`${problem}; ${remedy}`],
      );
  });

  it('lets records of calls be kept only in a store that outlives the process', () => {
    const [problem = ''] = problemsOf({ CALL_RECORDS: 'store' });
    assert.match(problem, /^CALL_RECORDS must be file:<path>: .*; or set CONVERSATION_STORE/);
    const stores = { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:c.db' };
    assert.deepEqual(problemsOf(stores), []);
  });

  it('allows waiting for calls only if they are kept in memory', () => {
    assert.deepEqual(problemsOf({ DRAIN_CALLS_SECONDS: '60' }), []);
    assert.deepEqual(
      problemsOf({ DRAIN_CALLS_SECONDS: '60', CONVERSATION_STORE: 'sqlite:c.db' }),
      ['DRAIN_CALLS_SECONDS must be 0: calls continue in any process that uses CONVERSATION_STORE'],
    );
  });

  it('needs no command line, and accepts only strings, even from JavaScript', () => {
    assert.equal(parseSettings({ FILLER_AFTER_MS: '50' }).fillerAfterMs, 50);
    const variables = { FILLER_AFTER_MS: 50 } as unknown as Record<string, string>;
    assert.throws(() => parseSettings(variables), {
      name: 'TypeError',
      message: 'parseSettings takes strings, as in an environment: FILLER_AFTER_MS is a number',
    });
  });

  it('counts an empty variable as not set', () => {
    const empty = Object.fromEntries(settingRows.map(({ variable }) => [variable, ' \t']));
    assert.deepEqual(
      parseSettings({ ...empty, HOME: '', PORT: undefined }, []),
      parseSettings({}, []),
    );
  });

  it('refuses two routes that are the same, even if one is a default', () => {
    assert.deepEqual(problemsOf({ AGENT_ROUTE: '/x' }, ['--authorize-route=/x']), [
      'AGENT_ROUTE and --authorize-route must differ, got "/x" for both',
    ]);
    assert.deepEqual(problemsOf({ AGENT_ROUTE: '/api/authorize' }), [
      'AGENT_ROUTE and AUTHORIZE_ROUTE must differ, got "/api/authorize" for both',
    ]);
  });

  it('accepts keys of at least 32 characters, shows none, and hides them in the log', () => {
    const [short, long, other] = ['k'.repeat(31), 'l'.repeat(32), 'm'.repeat(40)];
    const keys = parseSettings({ REDACTION_KEY: `${long}, ${other}` }, []);
    assert.deepEqual(keys.redactionKeys, [long, other]);
    assert.deepEqual(keys.secrets, [other, long]);
    for (const given of [short, `${long},${short}`])
      assert.deepEqual(problemsOf({ REDACTION_KEY: given }), [
        'REDACTION_KEY must have at least 32 characters',
      ]);
  });

  it('refuses secrets of fewer than 16 characters in production, except with echo', () => {
    const short = 'whsec_15_chars_';
    const given = {
      LAYERCODE_WEBHOOK_SECRET: `${secret},${short}`,
      CHAT_COMPLETIONS_KEYS: short,
      VAPI_WEBHOOK_SECRET: short,
      ELEVENLABS_WEBHOOK_SECRET: short,
      LAYERCODE_WEBHOOK_SECRET_SALES: short,
      DESK_CHAT_COMPLETIONS_KEYS: short,
    };
    const AGENTS = 'sales=echo,desk=echo';
    const problems = problemsOf({ NODE_ENV: 'production', AGENTS, ...given });
    const rule = 'is too short for production: use at least 16 characters, '
      + 'such as the output of openssl rand -hex 32';
    assert.deepEqual(problems, Object.keys(given).map((variable) => `${variable} ${rule}`));
    const long = Object.fromEntries(Object.keys(given).map((name) => [name, `${short}_`]));
    for (const accepted of [
      { NODE_ENV: 'production', AGENTS, ...long },
      { AGENTS, ...given },
      { NODE_ENV: 'production', AGENT: 'echo', LAYERCODE_WEBHOOK_SECRET: short },
    ]) {
      parseSettings(accepted, []);
    }
  });

  it('requires a webhook secret in production, and drains for five seconds there', () => {
    assert.deepEqual(problemsOf({ NODE_ENV: 'production', LAYERCODE_WEBHOOK_SECRET: ' ' }), [
      "LAYERCODE_WEBHOOK_SECRET must be set in production: copy it from the agent's webhook settings in LayerCode, " +
        'or pass --layercode-webhook-secret; for another platform set CHAT_COMPLETIONS_KEYS',
    ]);
    const settings = parseSettings(
      { NODE_ENV: 'production', LAYERCODE_WEBHOOK_SECRET: secret },
      [],
    );
    assert.equal(settings.production, true);
    assert.equal(settings.drainDelaySeconds, 5);
    assert.equal(
      parseSettings(
        { NODE_ENV: 'production', LAYERCODE_WEBHOOK_SECRET: secret, DRAIN_DELAY_SECONDS: '0' },
        [],
      ).drainDelaySeconds,
      0,
    );
  });

  // The second problem used to say that the webhook secret must be set.
  it('complains only once in production about keys that are set but wrong', () => {
    const keys = { CHAT_COMPLETIONS_KEYS: 'a key with blanks' };
    for (const agents of [{}, { AGENTS: 'sales=echo' }]) {
      const [problem = '', ...others] = problemsOf({ NODE_ENV: 'production', ...keys, ...agents });
      assert.match(problem, /^CHAT_COMPLETIONS_KEYS must /);
      assert.deepEqual(others, []);
    }
    const own = { AGENTS: 'sales=echo', SALES_CHAT_COMPLETIONS_KEYS: 'a key with blanks' };
    const [problem = '', ...others] = problemsOf({ NODE_ENV: 'production', ...own });
    assert.match(problem, /^SALES_CHAT_COMPLETIONS_KEYS must /);
    assert.deepEqual(others, []);
  });

  it('complains only once in production about a secret that is set but wrong', () => {
    assert.deepEqual(problemsOf({ NODE_ENV: 'production', LAYERCODE_WEBHOOK_SECRET: ',' }), [
      'LAYERCODE_WEBHOOK_SECRET must name at least one',
    ]);
  });

  it('uses the name its caller gives a variable', () => {
    assert.throws(() => parseSettings({ PORT: 'x' }, [], (variable) => `${variable} in .env`), {
      problems: ['PORT in .env must be 0–65535, got "x"'],
    });
  });
});

describe('parseSettings, for several agents,', () => {
  const AGENTS = 'sales=./sales.ts, big-support = ./support.ts';
  const own = 'whsec_of_sales_0123456789';

  it('reads their names and modules in order', () => {
    assert.deepEqual(parseSettings({ AGENTS }, []).agents, [
      { name: 'sales', agent: './sales.ts' },
      { name: 'big-support', agent: './support.ts' },
    ]);
  });

  const refused: readonly (readonly [value: string, reason: RegExp])[] = [
    [',', /^AGENTS must name at least one/],
    ['./sales.ts', /^AGENTS must be name=agent, for example sales=/],
    ['sales=', /^AGENTS must be name=agent/],
    ['=./sales.ts', /^AGENTS must have names that begin with a letter/],
    ['Sales=./sales.ts', /^AGENTS must have names that begin with a letter/],
    ['big_sales=./sales.ts', /^AGENTS must have names that .* only a–z, 0–9 and -/],
    [`${'a'.repeat(65)}=./sales.ts`, /^AGENTS must have names that .* at most 64/],
    ['a=./a.ts,a=./b.ts', /^AGENTS must name each agent once/],
  ];
  for (const [value, reason] of refused) {
    it(`refuses ${value.slice(0, 30)}`, () => {
      const [problem = '', ...others] = problemsOf({ AGENTS: value });
      assert.match(problem, reason);
      assert.deepEqual(others, []);
    });
  }

  it('refuses AGENT beside AGENTS', () => {
    assert.deepEqual(problemsOf({ AGENTS }, ['--agent=echo']), [
      '--agent and AGENTS must not both be set; look in the scripts of package.json, too',
    ]);
  });

  it('refuses an authorize route that is the route of an agent', () => {
    assert.deepEqual(problemsOf({ AGENTS, AUTHORIZE_ROUTE: '/api/agent/sales' }), [
      'AUTHORIZE_ROUTE must not be the route of the agent sales, got "/api/agent/sales"',
    ]);
  });

  it('reads the secrets of each agent, and redacts them', () => {
    const variables = {
      LAYERCODE_WEBHOOK_SECRET_SALES: `${own}, ${own}_next`,
      LAYERCODE_WEBHOOK_SECRET_BIG_SUPPORT: secret,
    };
    const { agentSecrets, secrets } = parseSettings({ AGENTS, ...variables }, []);
    assert.deepEqual(agentSecrets, { sales: [own, `${own}_next`], 'big-support': [secret] });
    assert.deepEqual(secrets.toSorted(), [own, `${own}_next`, secret].toSorted());
  });

  it('reads and redacts secrets without AGENTS too, for agents named in code', () => {
    const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET_SALES: own }, []);
    assert.deepEqual([settings.agentSecrets, settings.secrets], [{ sales: [own] }, [own]]);
  });

  it('refuses the secret of a missing agent: its name is probably misspelt', () => {
    assert.deepEqual(problemsOf({ AGENTS, LAYERCODE_WEBHOOK_SECRET_SALE: own }), [
      'LAYERCODE_WEBHOOK_SECRET_SALE belongs to no agent: AGENTS has sales, big-support',
    ]);
  });

  it('requires the common secret in production, or one for each agent', () => {
    const production = { NODE_ENV: 'production', AGENTS, LAYERCODE_WEBHOOK_SECRET_SALES: own };
    const [problem = '', ...others] = problemsOf(production);
    assert.match(
      problem,
      /^LAYERCODE_WEBHOOK_SECRET_BIG_SUPPORT or LAYERCODE_WEBHOOK_SECRET must be set in production/,
    );
    assert.deepEqual(others, []);
    const both = { LAYERCODE_WEBHOOK_SECRET_BIG_SUPPORT: secret };
    assert.deepEqual(problemsOf({ ...production, ...both }), []);
    assert.deepEqual(problemsOf({ ...production, LAYERCODE_WEBHOOK_SECRET: secret }), []);
  });
});

/** Variables of shells, containers, Kubernetes, CI and hosts; of Node, npm and other programs. */
const OF_OTHERS = `PATH HOME HOSTNAME HOSTTYPE MACHTYPE OSTYPE PWD OLDPWD SHELL SHLVL USER LOGNAME
  TERM LANG LANGUAGE LC_ALL LC_CTYPE TZ MAIL EDITOR VISUAL PAGER DISPLAY TMPDIR TEMP TMP EDITOR IFS
  PS1 UID EUID PPID LINES COLUMNS COLORTERM NO_COLOR FORCE_COLOR DEBUG VERBOSE CI LS_COLORS
  XDG_RUNTIME_DIR XDG_SESSION_ID SSH_CLIENT SSH_CONNECTION SSH_AUTH_SOCK SSH_TTY INVOCATION_ID
  JOURNAL_STREAM NOTIFY_SOCKET LISTEN_FDS LISTEN_PID WATCHDOG_USEC NODE_OPTIONS NODE_PATH
  NODE_VERSION NODE_HOME NODE_DEBUG NODE_EXTRA_CA_CERTS NODE_NO_WARNINGS NODE_APP_INSTANCE
  YARN_VERSION NVM_DIR NVM_BIN INIT_CWD npm_config_cache npm_lifecycle_event npm_package_name
  HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy SSL_CERT_FILE
  SSL_CERT_DIR KUBERNETES_PORT KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT POD_NAME POD_IP
  POD_NAMESPACE NAMESPACE AGENT_PORT AGENT_SERVICE_HOST AGENT_SERVICE_PORT AGENT_PORT_80_TCP
  WORKER_ID WEB_CONCURRENCY DYNO REDIS_URL REDIS_HOST REDIS_PORT DATABASE_URL PGHOST PGPORT
  AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_LAMBDA_LOG_GROUP_NAME
  GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CLOUD_PROJECT GOOGLE_API_KEY K_SERVICE K_REVISION
  FLY_APP_NAME RAILWAY_ENVIRONMENT RENDER_SERVICE_ID VERCEL_URL GITHUB_ACTIONS GITHUB_TOKEN
  GITLAB_CI BUILD_NUMBER JENKINS_URL AGENT_NAME AGENT_ID AGENT_OS AGENT_TOOLSDIRECTORY SSH_AGENT_PID
  OTEL_SERVICE_NAME OTEL_EXPORTER_OTLP_ENDPOINT OTEL_TRACES_EXPORTER SENTRY_DSN DD_ENV DD_AGENT_HOST
  AZURE_OPENAI_API_KEY OPENAI_ORG_ID OPENAI_PROJECT ELEVENLABS_API_KEY VAPI_API_KEY CARTESIA_API_KEY
  DEEPGRAM_API_KEY LIVEKIT_API_KEY LIVEKIT_API_SECRET LIVEKIT_URL TWILIO_AUTH_TOKEN
  STRIPE_WEBHOOK_SECRET GROQ_BASE_URL OLLAMA_HOST MODEL MODEL_NAME BASE_URL API_KEY SECRET
  SECRET_KEY`.split(/\s+/);

describe('parseSettings, for misspelt variables,', () => {
  for (const [wrong, meant] of [
    ['DEFUALT_MODEL', 'DEFAULT_MODEL'],
    ['CORS_ORIGIN', 'CORS_ORIGINS'],
    ['OPENAI_APIKEY', 'OPENAI_API_KEY'],
    ['LOG-LEVEL', 'LOG_LEVEL'],
    ['LOG_LVL', 'LOG_LEVEL'],
    ['LAYERCODE_WEBHOK_SECERT', 'LAYERCODE_WEBHOOK_SECRET'],
    ['CHAT_COMPLETION_KEY', 'CHAT_COMPLETIONS_KEYS'],
    ['SALES_CHAT_COMPLETION_KEY', 'SALES_CHAT_COMPLETIONS_KEYS'],
    ['SALES_CHAT_COMPLETIONS_KEY', 'SALES_CHAT_COMPLETIONS_KEYS'],
    ['SALES_EU_CHAT_COMPLETOINS_KEYS', 'SALES_EU_CHAT_COMPLETIONS_KEYS'],
    ['SALESCHAT_COMPLETIONS_KEYS', 'SALES_CHAT_COMPLETIONS_KEYS'],
    ['SALES__CHAT_COMPLETIONS_KEYSS', 'SALES_CHAT_COMPLETIONS_KEYS'],
    ['LAYERCODE_WEBHOK_SECRET_SALES', 'LAYERCODE_WEBHOOK_SECRET_SALES'],
    ['LAYERCODE_WEBHOOKS_SECRETS_SALES', 'LAYERCODE_WEBHOOK_SECRET_SALES'],
    // A setting without its unit used to be ignored.
    ['DRAIN_DELAY', 'DRAIN_DELAY_SECONDS'],
    ['SHUTDOWN_TIMEOUT', 'SHUTDOWN_TIMEOUT_SECONDS'],
    ['CONVERSATION_TTL', 'CONVERSATION_TTL_SECONDS'],
    ['TURN_TIMEOUT', 'TURN_TIMEOUT_SECONDS'],
    ['STORE_TIMEOUT', 'STORE_TIMEOUT_MS'],
  ] as const) {
    it(`names ${meant} for ${wrong}`, () => {
      const problem = `${wrong} is not a setting; did you mean ${meant}?`;
      assert.deepEqual(problemsOf({ [wrong]: 'sk-0123456789' }), [problem]);
    });
  }

  // Previously the server started without a word, and the agent took the common key.
  it('names the variable of an agent beside the common one', () => {
    const keys = { CHAT_COMPLETIONS_KEYS: 'k-0123456789', AGENTS: 'sales=echo,shop=echo' };
    assert.deepEqual(problemsOf({ ...keys, SALES_CHAT_COMPLETION_KEYS: 'k-9876543210' }), [
      'SALES_CHAT_COMPLETION_KEYS is not a setting; did you mean SALES_CHAT_COMPLETIONS_KEYS?',
    ]);
  });

  // Such a variable used to be ignored.
  for (const [wrong, meant] of [
    ['SALES_LAYERCODE_WEBHOOK_SECRETS', 'LAYERCODE_WEBHOOK_SECRET_SALES'],
    ['CHAT_COMPLETIONS_KEYS_SALES', 'SALES_CHAT_COMPLETIONS_KEYS'],
    ['OLD_LAYERCODE_WEBHOOK_SECRET', undefined],
    ['CHAT_COMPLETIONS_KEYS_FILE', undefined],
  ] as const)
    it(`names ${meant ?? 'nothing'} for ${wrong}, with an agent called sales`, () => {
      const settings = { AGENTS: 'sales=echo', [wrong]: 'k-9876543210' };
      const problems = problemsOf(settings).filter((problem) => problem.includes(wrong));
      const problem = `${wrong} is not a setting; did you mean ${meant}?`;
      assert.deepEqual(problems, meant === undefined ? [] : [problem]);
    });

  it('accepts the variables of agents with short names', () => {
    for (const variable of ['A_CHAT_COMPLETIONS_KEYS', 'LAYERCODE_WEBHOOK_SECRET_A'])
      assert.deepEqual(problemsOf({ [variable]: 'k-0123456789' }), [], variable);
  });

  it('says nothing about a variable that is three edits away, or short and not close', () => {
    const variables = ['MY_LOG_LEVEL', 'COST', 'SORT', 'PROT', 'log_level', 'BROKERS', 'EVENT',
      'SALES_CHAT_COMPLET_KEYS', 'GITHUB_WEBHOOK_SECRET', 'HEARTBEAT', 'SETTLE', 'TIMEOUT',
      'TURN', 'DEFAULT', 'MY_TURN_TIMEOUT'];
    for (const variable of variables)
      assert.deepEqual(problemsOf({ [variable]: '1' }), [], variable);
  });

  it('says nothing about what shells, containers and hosts set', () => {
    const environment = Object.fromEntries(OF_OTHERS.map((variable) => [variable, '1']));
    assert.deepEqual(problemsOf(environment), []);
    assert.deepEqual(problemsOf(process.env as Record<string, string>), []);
  });

  it('says nothing if the right setting is given, by a variable or a flag', () => {
    assert.deepEqual(problemsOf({ MAX_STREAM: '1', MAX_STREAMS: '1' }), []);
    assert.deepEqual(problemsOf({ MAX_STREAM: '1' }, ['--max-streams=1']), []);
  });

  it('does not take a provider\'s key for a misspelt variable', () => {
    for (const { keyNames } of Object.values(PROVIDERS)) {
      for (const name of keyNames) assert.deepEqual(problemsOf({ [name]: 'sk-0123' }), [], name);
    }
  });
});

describe('parseSettings, given flags,', () => {
  it('accepts --flag value and --flag=value, and lets flags win over the environment', () => {
    for (const argv of [['--port', '9000'], ['--port=9000']]) {
      assert.equal(parseSettings({ PORT: '7000' }, argv).port, 9000);
      assert.equal(parseSettings({ PORT: 'broken' }, argv).port, 9000);
    }
  });

  it('has a flag for every variable, and --model for DEFAULT_MODEL', () => {
    for (const { variable, flags } of settingRows) {
      assert.ok(flags.includes(`--${variable.toLowerCase().replaceAll('_', '-')}`), variable);
      assert.ok(
        problemsOf(
          {},
          flags.map((flag) => `${flag}=\u0007x y`),
        ).every((problem) => !problem.includes('is not a flag')),
        variable,
      );
    }
    assert.deepEqual(parseSettings({ DEFAULT_MODEL: 'openai:a' }, ['--model', 'openai:b']).models, [
      'openai:b',
    ]);
    assert.deepEqual(parseSettings({}, ['--default-model', 'openai:c']).models, ['openai:c']);
  });

  it('lets the last of a repeated flag win, even across both names of a flag', () => {
    assert.equal(parseSettings({}, ['--port=1', '--port', '2']).port, 2);
    assert.deepEqual(parseSettings({}, ['--model=openai:a', '--default-model=openai:b']).models, [
      'openai:b',
    ]);
  });

  it('leaves --settings-file, --help and --version to its caller', () => {
    assert.equal(
      parseSettings({}, ['--settings-file', 'x.env', '--help', '-h', '--version', '--port=1']).port,
      1,
    );
  });

  it('refuses what it cannot place', () => {
    const refused: readonly (readonly [argv: readonly string[], ...problems: string[]])[] = [
      [['--prot', '80'], '--prot is not a flag; did you mean --port?'],
      [['--no-access-log'], '--no-access-log is not a flag; did you mean --access-log?'],
      [['--settings-fil=x'], '--settings-fil is not a flag; did you mean --settings-file?'],
      // Whole words of a flag identify it, however much is missing.
      [['--level=info'], '--level is not a flag; did you mean --log-level?'],
      [['--first-word=3'], '--first-word is not a flag; did you mean --first-word-timeout-seconds?'],
      [['--cheese'], '--cheese is not a flag; --help lists them all'],
      [['--timeout=3'], '--timeout is not a flag; --help lists them all'],
      [
        ['--__proto__=1', '--constructor=1'],
        '--__proto__ is not a flag; --help lists them all',
        '--constructor is not a flag; --help lists them all',
      ],
      [['-p8000'], '-p is not a flag; --help lists them all'],
      [[`--${'x'.repeat(500)}`], `--${'x'.repeat(77)}… is not a flag; --help lists them all`],
      [['echo'], '"echo" is not a flag; settings are given as --flag value or --flag=value'],
      ...['my-agent.js', './agent', '../agent.mts', '/srv/agent.mjs'].map(
        (path) => [[path], `"${path}" is not a flag; did you mean --agent ${path}?`] as const,
      ),
      [
        ['--port=1', '--', '--host'],
        '"--host" is not a flag; settings are given as --flag value or --flag=value',
      ],
      [['--port'], '--port needs a value'],
      [['--port='], '--port needs a value'],
      [['--port', '--host', 'localhost'], '--port needs a value'],
      [
        ['--port', '--hots=x'],
        '--port needs a value',
        '--hots is not a flag; did you mean --host?',
      ],
      [['--openai-api-key', '--'], '--openai-api-key needs a value'],
      [['--openai-api-key', '--port=1'], '--openai-api-key needs a value'],
      [['--port', '-1'], '--port must be 0–65535, got "-1"'],
    ];
    for (const [argv, ...problems] of refused)
      assert.deepEqual(problemsOf({}, argv), problems, argv.join(' '));
  });
});
