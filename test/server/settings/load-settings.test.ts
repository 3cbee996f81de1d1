import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';

import type { Environment } from '../../../src/base/environment.ts';
import { informationFor, loadSettings } from '../../../src/server/settings/load-settings.ts';
import type { Settings } from '../../../src/server/settings/settings.ts';
import { newFolder } from '../../fixtures/folder.ts';
import { problemsIn } from './settings-problems.ts';

let directory = '';

function load(environment: Environment = {}, argv: readonly string[] = []): Settings {
  return loadSettings({ directory, environment, argv });
}

function problemsOf(...input: Parameters<typeof load>): readonly string[] {
  return problemsIn(() => load(...input));
}

describe('loadSettings', () => {
  beforeEach(() => void (directory = newFolder()));

  it('needs no file and no options', () => {
    assert.equal(load().port, 8000);
    assert.equal(typeof loadSettings({ argv: [] }).port, 'number');
  });

  it('lets flags win over the environment and the environment over .env', () => {
    writeFileSync(join(directory, '.env'), 'PORT=1\nMAX_STREAMS=1\nMAX_MESSAGES=11\n');
    const settings = load({ PORT: '2', MAX_STREAMS: '2' }, ['--port=3']);
    assert.deepEqual([settings.port, settings.maxStreams, settings.maxMessages], [3, 2, 11]);
  });

  it('uses the file\'s value if the environment\'s is empty', () => {
    writeFileSync(join(directory, '.env'), 'PORT=1');
    assert.equal(load({ PORT: '' }).port, 1);
  });

  it('reads quotes, comments, exports, Windows line endings and a byte-order mark', () => {
    writeFileSync(
      join(directory, '.env'),
      '\uFEFFPORT=1 # first\r\n# MAX_STREAMS=9\r\nexport HOST="127.0.0.1"\r\n\r\nAGENT=\'echo\'\r\n',
    );
    const settings = load();
    assert.deepEqual(
      [settings.port, settings.maxStreams, settings.host, settings.agent],
      [1, 10_000, '127.0.0.1', 'echo'],
    );
  });

  it('counts keys in the file among the secrets and passes them to the models', () => {
    writeFileSync(join(directory, '.env'), 'GROQ_API_KEY=groq-key-1');
    const { secrets, environment } = load();
    assert.deepEqual(secrets, ['groq-key-1']);
    assert.equal(environment['GROQ_API_KEY'], 'groq-key-1');
    assert.equal(process.env['GROQ_API_KEY'], undefined);
  });

  it('reads another file with --settings-file, instead of .env', () => {
    writeFileSync(join(directory, '.env'), 'PORT=1\nMAX_STREAMS=1');
    writeFileSync(join(directory, 'other.env'), 'PORT=2');
    for (const argv of [
      ['--settings-file', 'other.env'],
      [`--settings-file=${join(directory, 'other.env')}`],
    ]) {
      const settings = load({}, argv);
      assert.deepEqual([settings.port, settings.maxStreams], [2, 10_000]);
    }
  });

  it("says which file a wrong value is in, but only if it is the file's", () => {
    writeFileSync(join(directory, '.env'), 'PORT=x\nMAX_STREAMS=y\nMETRICS=z');
    assert.deepEqual(problemsOf({ MAX_STREAMS: 'e' }, ['--metrics=f']), [
      'PORT in .env must be 0–65535, got "x"',
      'MAX_STREAMS must be 1–1000000, got "e"',
      '--metrics must be true or false, got "f"',
    ]);
    writeFileSync(join(directory, 'other.env'), 'PORT=x');
    assert.deepEqual(problemsOf({}, ['--settings-file=other.env']), [
      'PORT in other.env must be 0–65535, got "x"',
    ]);
  });

  it('refuses a file that was asked for and does not exist', () => {
    assert.deepEqual(problemsOf({}, ['--settings-file', 'none.env']), [
      `settings file ${join(directory, 'none.env')} does not exist`,
    ]);
  });

  it('refuses a directory in place of the file', () => {
    mkdirSync(join(directory, '.env'));
    assert.deepEqual(problemsOf(), [
      `settings file ${join(directory, '.env')} is a directory, not a file`,
    ]);
  });

  it('refuses a file that is not UTF-8 instead of finding nothing in it', () => {
    for (const content of [
      Buffer.from('\uFEFFPORT=1', 'utf16le'),
      Buffer.from('PORT=1', 'utf16le'), // without a byte-order mark
      Buffer.from('HOST=M\xfcller', 'latin1'),
    ]) {
      writeFileSync(join(directory, '.env'), content);
      assert.deepEqual(problemsOf(), [
        `settings file ${join(directory, '.env')} is not UTF-8 text; save it as UTF-8`,
      ]);
    }
  });

  it('refuses a line that looks like a setting but sets nothing, without showing it', () => {
    const file = join(directory, '.env');
    for (const line of ['PORT 8000', 'export PORT 8000', 'PORT: 8000?a=b', '  PORT : 8000']) {
      writeFileSync(file, `MAX_STREAMS=x\n${line}`);
      assert.deepEqual(problemsOf(), [
        `settings file ${file}: line 2 must be PORT=value`,
        'MAX_STREAMS in .env must be 1–1000000, got "x"',
      ], line);
    }
  });

  it('leaves alone what may belong to a value, to Docker or to another program', () => {
    const lines = [
      'PORT = 7', 'GREETING="Hello,', 'PORTO calling', '# not a comment"', '# MAX_STREAMS 8',
      'PATH: /bin', 'set -a', 'OPENAI_API_KEY', 'PORT 8',
    ];
    writeFileSync(join(directory, '.env'), lines.join('\r\n'));
    assert.equal(load().port, 7);
  });

  it(
    'refuses a file it may not read',
    { skip: process.geteuid?.() !== 0 && 'needs root to become somebody else' },
    () => {
      const file = join(directory, '.env');
      writeFileSync(file, 'PORT=1', { mode: 0o600 });
      for (const folder of [directory, dirname(directory)]) chmodSync(folder, 0o755);
      process.seteuid?.(65_534);
      try {
        assert.deepEqual(problemsOf(), [`settings file ${file} cannot be read: permission denied`]);
      } finally {
        process.seteuid?.(0);
      }
    },
  );
});

describe('informationFor', () => {
  it('answers --help and --version, whatever else is wrong', async () => {
    assert.match(await informationFor(['--port=x', '--help']) ?? '', /^Usage: .*\n[^]*--port/);
    assert.match(await informationFor(['-h']) ?? '', /^Usage: /);
    assert.match(await informationFor(['--version', '--cheese']) ?? '', /^\d+\.\d+\.\d+\S*\n$/);
  });

  it('gives nothing if the server is to start', async () => {
    assert.equal(await informationFor([]), undefined);
    assert.equal(await informationFor(['--agent', '-h']), undefined);
  });
});
