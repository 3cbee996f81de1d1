import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { sentText } from '../../../src/kit/eval/sent-request.ts';
import { EvalFolder } from '../commands/eval-folder.ts';

const ASKED = 'agent ./shop.mjs\nsay Hi\nmodel calls look {"what": "x"}\nmodel says Hello.\n';

/** An agent's module, in which tests change one thing. */
function moduleOf({ prompt, temperature }: typeof SHOP): string {
  const { href } = new URL('../../../src/index.ts', import.meta.url);
  return `import { defineAgent, tool } from '${href}';
    const look = tool({
      name: 'look', description: 'Looks for bread.', repeatable: true, run: () => 'bread',
      parameters: { type: 'object', properties: { what: { type: 'string', maxLength: 20 } } },
    });
    export default defineAgent({
      name: 'shop', prompt: '${prompt}', tools: [look], temperature: ${temperature},
    });`;
}

const SHOP = { prompt: 'You sell bread.\\nDo not shout.', temperature: 0.3 };

class Folder extends EvalFolder {
  #modules = 0;

  constructor(script: string) {
    super({ 'a.txt': script });
  }

  /** Each agent is a module of its own, because modules are loaded once. */
  play(shop: typeof SHOP, ...argv: string[]) {
    const module = `shop-${(this.#modules += 1)}.mjs`;
    this.write(module, moduleOf(shop));
    this.write('a.txt', this.read('a.txt').replace(/shop[-\d]*\.mjs/, module));
    return this.run(argv);
  }
}

describe('expect-same-request', () => {
  it('fails without a golden file, which --update writes', async () => {
    const folder = new Folder(`${ASKED}expect-same-request\n`);
    const { code, out } = await folder.play(SHOP);
    assert.equal(code, 1);
    const why = 'a\\.requests\\.golden has no request for this line; --update adds it';
    assert.match(out, new RegExp(`line 5: expect-same-request\\n +${why}`));
    assert.equal((await folder.play(SHOP, '--update')).code, 0);
    assert.equal((await folder.play(SHOP)).code, 0);
    const text = folder.read('a.requests.golden');
    assert.match(text, /^=== 1\ntemperature: 0\.3\n\nprompt:\nYou sell bread\.\nDo not shout\.\n/);
    assert.match(text, /\n\ntool look:\nLooks for bread\.\n\{\n[^]+"maxLength": 20\n/);
    assert.equal(text.split('tool look').length, 2, 'the same request is written once');
    assert.match(text, /\n\nresult of look \{"what":"x"\}:\n"bread"\n$/);
  });

  it('shows a change, which --update accepts', async () => {
    const folder = new Folder(`${ASKED}expect-same-request\n`);
    await folder.play(SHOP, '--update');
    const now = { ...SHOP, prompt: 'You sell bread.\\nShout.' };
    const { code, out } = await folder.play(now);
    assert.equal(code, 1);
    assert.match(out, /differs from a\.requests\.golden, accepted \(-\) and sent \(\+\); --update/);
    assert.match(out, / You sell bread\.\n +-Do not shout\.\n +\+Shout\./);
    await folder.play(now, '--update');
    assert.equal((await folder.play(now)).code, 0);
  });

  it('accepts a prompt with Windows line breaks, even at its end', async () => {
    const folder = new Folder(`${ASKED}expect-same-request\n`);
    const shop = { ...SHOP, prompt: '\\nYou sell bread.\\r\\nDo not shout.\\r\\n' };
    await folder.play(shop, '--update');
    assert.equal((await folder.play(shop)).code, 0);
  });

  it('keeps the requests of each line apart, even if a run fails', async () => {
    const twice = `${ASKED}expect-same-request\nsay Ho\nmodel says Ho.\nexpect-same-request\n`;
    const folder = new Folder(twice);
    await folder.play(SHOP, '--update');
    assert.match(folder.read('a.requests.golden'), /^=== 1\n[^]+\n\n=== 2\n/);
    folder.write('a.txt', twice.replace('say Ho', 'interrupt after 9 words\nsay Ho'));
    await folder.play({ ...SHOP, temperature: 0.4 }, '--update');
    assert.equal(folder.read('a.requests.golden').split('temperature: 0.4').length, 3);
    folder.write('a.txt', `${ASKED}expect-same-request\n`);
    await folder.play(SHOP, '--update');
    assert.doesNotMatch(folder.read('a.requests.golden'), /=== 2/);
  });

  it('fails if the model is not asked, or the file cannot be read', async () => {
    const folder = new Folder('agent ./shop.mjs\nexpect-same-request\nsay Hi\nmodel says Hi.\n');
    assert.match((await folder.play(SHOP, '--update')).out, /the model was not asked/);
    folder.write('a.txt', `${ASKED}expect-same-request\n`);
    mkdirSync(join(folder.directory, 'evals', 'a.requests.golden'));
    const { code, out } = await folder.play(SHOP);
    assert.equal(code, 1);
    assert.match(out, /line 5: expect-same-request\n +EISDIR/);
  });
});

describe('sentText', () => {
  const of = (content: string): string =>
    sentText(undefined, [{ role: 'system', content }], { signal: new AbortController().signal });

  it('leaves out today\'s date and the time beside it, but no other times', () => {
    const today = new Date().toISOString().slice(0, 10);
    const text = of(`It is ${today}, 10:05.\nOpen Tuesday to Sunday, 07:00 to 15:00.`);
    assert.equal(text, 'prompt:\nIt is <time>, <time>.\nOpen Tuesday to Sunday, 07:00 to 15:00.');
    assert.match(of('Since 2019-01-31, always.'), /Since 2019-01-31, always/);
  });

  it('leaves out ids, but not other numbers', () => {
    const id = '1f6f2a52-1b0e-4a0b-9a3e-8e2f6d7c9b10';
    assert.equal(of(`Call ${id} from +15550100`), 'prompt:\nCall <id> from +15550100');
  });

  it('names the model if the agent names one', () => {
    const signal = new AbortController().signal;
    assert.equal(sentText('openai:x', [], { signal }), 'model: openai:x');
  });
});
