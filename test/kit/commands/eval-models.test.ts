// `eval` with models that are asked, recorded and replayed, and with a judge. The vendor is a
// server that plays OpenAI.

import assert from 'node:assert/strict';
import { linkSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { modelServer, KEY } from '../../core/agents/model-app.ts';
import { says, type Answer, type ModelServer } from '../../faults/model-server.ts';
import { EvalFolder } from './eval-folder.ts';

const MODEL = 'openai:gpt-6-luna';
const JUDGE = ['--eval-model', 'openai:gpt-6-judge'];
const TALK = 'agent starter\nsay My number is +15550177\nexpect number\nnever-fails\n';
const JUDGED = [
  'agent starter', 'good It is +15550177.', 'say My number is +15550177', 'expect number',
  'never-fails', 'judge "repeats the number"', '',
].join('\n');
const YES = '{"reason": "It does.", "verdict": "yes"}';
const NO = '{"reason": "It does not.", "verdict": "no"}';

/** A vendor whose judge answers with the verdicts in order, and whose agent always says `text`. */
function vendor(
  t: TestContext, text: string, verdicts: readonly string[] = [],
): Promise<ModelServer> {
  const left = [...verdicts];
  const answer: Answer = (response, request) => {
    const isJudge = request.body['model'] === 'gpt-6-judge';
    return says(isJudge ? (left.shift() ?? 'Nothing.') : text)(response, request);
  };
  return modelServer(t, answer);
}

class Folder extends EvalFolder {
  /** Without a vendor there is no key either. */
  play(argv: readonly string[], server?: ModelServer) {
    const environment = server === undefined
      ? {} : { OPENAI_BASE_URL: server.url, OPENAI_API_KEY: KEY };
    return this.run(argv, { DEFAULT_MODEL: MODEL, ...environment });
  }
}

describe('eval --record', () => {
  it('writes replies beside the scenario, and later replays them without a key', async (t) => {
    const folder = new Folder({ 'a.txt': TALK });
    const server = await vendor(t, 'Your number is +15550177.');
    assert.equal((await folder.play(['--record'], server)).code, 0);
    assert.equal(server.requests.length, 1);
    assert.doesNotMatch(folder.read('a.recorded.json'), /15550177|sk-test|authorization/i);
    const replayed = await folder.play([]);
    assert.equal(replayed.code, 0, replayed.out);
    assert.equal(server.requests.length, 1);
  });

  it('makes a replay fail, show the difference and ask no model if no reply fits', async (t) => {
    const folder = new Folder({ 'a.txt': TALK });
    const server = await vendor(t, 'Your number is +15550177.');
    await folder.play(['--record'], server);
    folder.write('a.txt', TALK.replace('My number', 'Our number'));
    const { code, out } = await folder.play([], server);
    assert.equal(code, 1);
    assert.equal(server.requests.length, 1);
    assert.match(out, /the replay\n {4}a model was asked something that no recorded reply fits/);
    assert.match(out, /\n {4}-user: My number is <number 1>\n {4}\+user: Our number is <number 1>\n/);
    assert.doesNotMatch(out, /expected {2}number/);
    assert.equal((await folder.play(['--live'], server)).code, 0);
    assert.equal(server.requests.length, 2);
  });

  it('writes nothing if a model fails', async (t) => {
    const folder = new Folder({ 'a.txt': TALK });
    const server = await modelServer(t, (response) => {
      response.writeHead(400, { 'content-type': 'application/json' }).end('{}');
    });
    const { code, out } = await folder.play(['--record'], server);
    assert.equal(code, 1);
    assert.match(out, /--record\n {4}a model failed: .*\n {4}nothing was recorded\n/);
    assert.equal(folder.has('a.recorded.json'), false);
  });

  it('fails a run whose recording cannot be written', async (t) => {
    const folder = new Folder({ 'a.txt': TALK });
    mkdirSync(join(folder.directory, 'evals', 'a.recorded.json'));
    const { code, out } = await folder.play(['--record'], await vendor(t, 'Your number.'));
    assert.equal(code, 1);
    assert.match(out, /--record\n {4}nothing was recorded: /);
    assert.deepEqual(readdirSync(join(folder.directory, 'evals')), ['a.recorded.json', 'a.txt']);
  });

  it('replaces an earlier recording as a whole', async (t) => {
    const folder = new Folder({ 'a.txt': TALK, 'a.recorded.json': 'earlier' });
    const evals = join(folder.directory, 'evals');
    linkSync(join(evals, 'a.recorded.json'), join(evals, 'kept.json'));
    const server = await vendor(t, 'Your number is +15550177.');
    assert.equal((await folder.play(['--record'], server)).code, 0);
    assert.match(folder.read('a.recorded.json'), /Your number/);
    assert.equal(folder.read('kept.json'), 'earlier');
    assert.deepEqual(readdirSync(evals), ['a.recorded.json', 'a.txt', 'kept.json']);
  });

  it('writes nothing for a scenario that scripts its model', async () => {
    const folder = new Folder({ 'a.txt': `${TALK}model says Your number.\n` });
    assert.equal((await folder.play(['--record'])).code, 0);
    assert.equal(folder.has('a.recorded.json'), false);
  });
});

describe('eval --eval-model', () => {
  it('judges replies, and asks about the examples first', async (t) => {
    const folder = new Folder({ 'a.txt': JUDGED });
    const server = await vendor(t, 'Your number is +15550177.', [YES, NO]);
    const { code, out } = await folder.play(JUDGE, server);
    assert.equal(code, 1);
    assert.match(out, /line 6: judge "repeats the number"\n {4}It does not\.\n/);
    const asked = server.requests.map(({ body }) => body['model']);
    assert.deepEqual(asked, ['gpt-6-luna', 'gpt-6-judge', 'gpt-6-judge']);
  });

  it('also counts what the judge costs', async (t) => {
    const folder = new Folder({ 'a.txt': JUDGED });
    const prices = JSON.stringify({
      [MODEL]: { input: 1, output: 1 }, 'openai:gpt-6-judge': { input: 1_000, output: 1_000 },
    });
    folder.write('../.env', `MODEL_PRICES=${prices}\n`);
    const argv = [...JUDGE, '--json', '--max-cost'];
    const server = await vendor(t, 'Your number is +15550177.', [YES, YES, YES, YES]);
    const { code, out } = await folder.play([...argv, '0.001'], server);
    assert.equal(code, 1);
    const { evalTokens, scenarios: [one] } = JSON.parse(out) as {
      readonly evalTokens: { readonly cost: number };
      readonly scenarios: readonly [{ readonly cost: number }];
    };
    assert.ok(evalTokens.cost > 0.001 && one.cost < 0.001, out);
    assert.equal((await folder.play([...argv, '9'], server)).code, 0);
  });

  it('leaves a run undecided, and so not passed, if the judge misjudges an example', async (t) => {
    const folder = new Folder({ 'a.txt': JUDGED });
    const { code, out } = await folder.play(JUDGE, await vendor(t, 'Your number.', [NO, YES]));
    assert.equal(code, 1);
    assert.match(out, /^\? a {2}/m);
    assert.match(out, /undecided: line 6: the judge does not accept the good example "It is \+/);
  });

  it('asks about the examples only once for all runs', async (t) => {
    const folder = new Folder({ 'a.txt': JUDGED });
    const server = await vendor(t, 'Your number is +15550177.', [YES, YES, YES, YES]);
    assert.equal((await folder.play(['--runs', '3', ...JUDGE], server)).code, 0);
  });
});

describe('a played caller', () => {
  it('is recorded and replayed like any model', async (t) => {
    const script =
      'agent starter\ncaller "a customer" wants "bread" in 3 turns\nexpect Bread, of course\n';
    const folder = new Folder({ 'a.txt': script });
    const moves = [
      '{"say": "Bread, please."}', '{"hang_up": true, "reached": true, "reason": "Sold."}',
    ];
    const server = await vendor(t, 'Bread, of course.', moves);
    const recorded = await folder.play(['--record', ...JUDGE], server);
    assert.equal(recorded.code, 0, recorded.out);
    const replayed = await folder.play(JUDGE);
    assert.equal(replayed.code, 0, replayed.out);
    assert.equal(server.requests.length, 3);
  });
});

describe('eval --runs --compare', () => {
  it('prints pass rates, and what got better or worse since an earlier run', async (t) => {
    const folder = new Folder({ 'a.txt': TALK, 'b.txt': TALK });
    const good = await vendor(t, 'Your number is +15550177.');
    const { out: main } = await folder.play(['--runs', '5', '--json'], good);
    folder.write('main.json', main);
    const shown = await folder.play(['--runs', '5'], good);
    assert.match(shown.out, /\nevals\/a\.txt +5 of 5 +100 % +57–100 % +\d+ ms +\d+ ms +19 +10 +0\.0000\d+\n/);
    folder.write('b.txt', TALK.replace('expect number', 'expect nothing'));
    const compared = await folder.play(['--runs', '5', '--compare', 'evals/main.json'], good);
    assert.equal(compared.code, 1);
    const [one, other] = compared.out.trim().split('\n').slice(-2);
    assert.match(one ?? '', /^evals\/a\.txt +5\/5 100 % → 5\/5 100 % .* no difference seen/);
    assert.match(other ?? '', /^evals\/b\.txt +5\/5 100 % → 0\/5 0 % .* worse \(p = 0\.016\)$/);
  });

  it('adds the comparison to the output of --json', async () => {
    const folder = new Folder({ 'a.txt': `${TALK}model says Your number.\n` });
    folder.write('main.json', (await folder.play(['--json'])).out);
    const { out } = await folder.play(['--json', '--compare', 'evals/main.json']);
    const { comparison, scenarios } = JSON.parse(out) as {
      comparison: unknown; scenarios: readonly Record<string, unknown>[];
    };
    assert.deepEqual(comparison, [{ file: 'evals/a.txt', difference: 'too few runs', p: 1 }]);
    assert.equal(scenarios[0]?.['passed'], 1);
  });
});

describe('eval with models refuses', () => {
  const cases: readonly (readonly [
    what: string, script: string, argv: readonly string[], message: RegExp,
  ])[] = [
    ['a judge without a model', JUDGED, [],
      /^evals\/a\.txt: line 6: judge needs a model that judges: --eval-model /m],
    ['a judge without a key', `${JUDGED}model says Hi.\n`, JUDGE,
      /^evals\/a\.txt: line 6: judge: OPENAI_API_KEY is not set, but model openai:gpt-6-judge /m],
    ['an unknown vendor', TALK, ['--eval-model', 'acme:one'], /^--eval-model: .*acme/],
    ['an agent whose model has no key', TALK, [],
      /^evals\/a\.txt: OPENAI_API_KEY is not set.*; set it once to record replies \(--record\)/],
    ['--record with --live', TALK, ['--record', '--live'], /^--record already asks the models/],
    ['--record with --runs', TALK, ['--record', '--runs', '2'],
      /^--record plays each scenario once/],
    ['to compare with a missing file', TALK, ['--compare', 'no.json'],
      /^--compare no\.json cannot be read: /],
    ['to compare with a file that eval --json did not print', TALK, ['--compare', 'evals/a.txt'],
      /^--compare evals\/a\.txt is not what eval --json prints$/],
  ];
  for (const [what, script, argv, message] of cases) {
    it(what, async () => {
      const folder = new Folder({ 'a.txt': script });
      await assert.rejects(folder.play(argv), { name: 'UsageError', message });
    });
  }

  it('a recording that cannot be replayed', async () => {
    const folder = new Folder({ 'a.txt': TALK, 'a.recorded.json': '{"format": 9}' });
    await assert.rejects(folder.play([]), {
      name: 'UsageError', message: /a\.recorded\.json: its format is not 3; record it again/,
    });
  });
});
