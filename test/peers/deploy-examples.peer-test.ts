// The files of examples/deploy, by the programs that read them. Those are Debian's packages, which
// `.ci/run` installs; where one is missing, its test is skipped.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { ROOT } from '../fixtures/pages.ts';

const FOLDER = join(ROOT, 'examples/deploy');

/** Why a test with this program is skipped; false if it need not be. */
function isMissing(program: string): string | false {
  const { error } = spawnSync(program, ['--version'], { stdio: 'ignore' });
  return error === undefined ? false : `no ${program} here`;
}

/** Runs the program to its end; what it wrote where that is not 0. */
function complaint(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 30_000,
  });
  return status === 0 ? '' : `exit code ${status}\n${stdout}${stderr}`;
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'deploy-examples-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

describe('examples/deploy', () => {
  it('has a compose file that docker-compose takes', {
    skip: isMissing('docker-compose'),
  }, () => {
    const args = ['-f', join(FOLDER, 'compose.yaml'), 'config', '--quiet'];
    assert.equal(complaint('docker-compose', args, { LAYERCODE_WEBHOOK_SECRET: 'x' }), '');
    const unset = complaint('docker-compose', args, { LAYERCODE_WEBHOOK_SECRET: '' });
    assert.match(unset, /set it to the secret of your agent/);
  });

  it('has a Caddyfile that caddy takes', { skip: isMissing('caddy') }, (t) => {
    const home = folder(t);
    const args = ['validate', '--adapter', 'caddyfile', '--config', join(FOLDER, 'Caddyfile')];
    assert.equal(complaint('caddy', args, { HOME: home, XDG_DATA_HOME: home }), '');
  });

  it('has a unit that systemd takes', { skip: isMissing('systemd-analyze') }, (t) => {
    // It looks whether the program is there.
    const unit = readFileSync(join(FOLDER, 'voice-agent.service'), 'utf8')
      .replace('/usr/bin/node ', `${process.execPath} `);
    const path = join(folder(t), 'voice-agent.service');
    writeFileSync(path, unit);
    assert.equal(complaint('systemd-analyze', ['verify', '--man=no', path]), '');
  });

  it('has alert rules that Prometheus takes', { skip: isMissing('promtool') }, () => {
    assert.equal(complaint('promtool', ['check', 'rules', join(FOLDER, 'alerts.yaml')]), '');
  });

  it('has alert rules for metrics that there are', () => {
    const page = readFileSync(join(ROOT, 'docs/observability.md'), 'utf8');
    const rules = readFileSync(join(FOLDER, 'alerts.yaml'), 'utf8');
    const manifest = readFileSync(join(FOLDER, 'kubernetes.yaml'), 'utf8');
    for (const [name] of `${rules}${manifest}`.matchAll(/layercode_\w+/g))
      assert.ok(page.includes(`\`${name.replace(/_bucket$/, '')}\``), name);
  });

  it('has an image with all that the one at the top has', () => {
    const steps = (path: string): string[] =>
      readFileSync(join(ROOT, path), 'utf8').split('\n')
        .filter((line) => /^(FROM|RUN|COPY|ENV|USER|ENTRYPOINT)/.test(line));
    const example = steps('examples/deploy/Dockerfile');
    for (const step of steps('Dockerfile')) assert.ok(example.includes(step), step);
  });

  it('gives servers the time that their shutdown takes', () => {
    const seconds = (path: string, pattern: RegExp): number =>
      Number(pattern.exec(readFileSync(join(FOLDER, path), 'utf8'))?.[1]);
    const [delay, timeout] = ['DRAIN_DELAY', 'SHUTDOWN_TIMEOUT'].map((name) =>
      seconds('kubernetes.yaml', new RegExp(`${name}_SECONDS, value: "(\\d+)"`)));
    const grace = seconds('kubernetes.yaml', /terminationGracePeriodSeconds: (\d+)/);
    assert.ok(Number(delay) + Number(timeout) + 2 < grace);
    assert.ok(seconds('compose.yaml', /stop_grace_period: (\d+)s/) >= 36);
    assert.ok(seconds('voice-agent.service', /TimeoutStopSec=(\d+)/) >= 40);
  });
});
