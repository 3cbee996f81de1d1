import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import { artefact } from './artefact.ts';
import { keyActions } from './keys.ts';
import { openBrowser, sharedBrowser, until, WebDriverError } from './webdriver.ts';

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Foundation</title>
<style>
  body { margin: 0; padding: 1px; box-sizing: border-box; height: 3000px; background: white }
  @media (prefers-color-scheme: dark) { body { background: black } }
</style>
<main>
  <h1>Hello</h1>
  <form>
    <label>Your name <input id="name" data-kind="person"></label>
    <button id="greet">Greet</button>
    <button disabled id="never">Never</button>
  </form>
  <p id="greeting" role="status" hidden></p>
  <button id="late">Later</button>
</main>
<script>
  const greeting = document.querySelector('#greeting');
  document.querySelector('form').addEventListener('submit', (event) => {
    event.preventDefault();
    greeting.textContent = 'Hello, ' + document.querySelector('#name').value;
    greeting.hidden = false;
  });
  document.querySelector('#late').addEventListener('click', () => {
    setTimeout(() => document.querySelector('main').insertAdjacentHTML('beforeend', '<p id="arrived">Here</p>'), 100);
  });
  document.addEventListener('keydown', (event) => { document.title += ' ' + event.code + (event.shiftKey ? '+' : ''); });
</script>`;

const server = createServer((request, response) => {
  const isPage = request.url === '/';
  response.writeHead(isPage ? 200 : 404, { 'content-type': 'text/html' }).end(isPage ? PAGE : '');
});
let origin = '';

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => {
  server.close();
  server.closeAllConnections();
});

/** A folder that goes with the test. */
function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'foundation-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Width and height, from the header that every PNG begins with. */
function sizeOf(file: string): readonly [width: number, height: number] {
  const bytes = readFileSync(file);
  assert.equal(bytes.toString('latin1', 0, 8), '\x89PNG\r\n\x1a\n');
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

describe('Browser', () => {
  const browser = sharedBrowser({ size: { width: 800, height: 600 } });

  it('opens a page', async () => {
    await browser.open(`${origin}/`);
    assert.equal(await browser.title(), 'Foundation');
    assert.equal(await browser.url(), `${origin}/`);
  });

  it('types, clicks and reads', async () => {
    await browser.open(origin);
    await browser.type('#name', 'Ada 👋');
    await browser.click('#greet');
    assert.equal(await browser.text('#greeting'), 'Hello, Ada 👋');
  });

  it('is operated by the keyboard alone', async () => {
    await browser.open(origin);
    await browser.keys('Tab', 'A', 'd', 'a', 'Tab');
    assert.equal(await (await browser.focused()).label(), 'Greet');
    await browser.keys('Shift+Tab', 'Enter');
    assert.equal(await browser.text('#greeting'), 'Hello, Ada');
    assert.match(await browser.title(), / Tab ShiftLeft\+? Tab\+ Enter$/);
  });

  it('tells attributes, properties, roles and styles of an element', async () => {
    await browser.open(origin);
    const field = await browser.find('#name');
    await field.type('Ada');
    assert.equal(await field.attribute('data-kind'), 'person');
    assert.equal(await field.attribute('value'), undefined);
    assert.equal(await field.attribute('placeholder'), undefined);
    assert.equal(await field.property('value'), 'Ada');
    assert.equal(await field.role(), 'textbox');
    assert.equal(await field.label(), 'Your name');
    await field.clear();
    assert.equal(await field.property('value'), '');
    assert.equal(await (await browser.find('#never')).isEnabled(), false);
    assert.equal(await (await browser.find('#greeting')).isDisplayed(), false);
    assert.equal(await (await browser.find('#greeting')).style('display'), 'none');
  });

  it('finds all elements in the order of the page, and none without an error', async () => {
    await browser.open(origin);
    const buttons = await browser.findAll('button');
    assert.deepEqual(await Promise.all(buttons.map((button) => button.text())), [
      'Greet',
      'Never',
      'Later',
    ]);
    assert.deepEqual(await browser.findAll('video'), []);
  });

  it('waits for an element that is yet to come', async () => {
    await browser.open(origin);
    await browser.click('#late');
    assert.equal(await (await browser.appears('#arrived')).text(), 'Here');
  });

  it('says what it did not find, in the words of WebDriver', async () => {
    await browser.open(origin);
    await assert.rejects(browser.find('#nobody'), (error) => {
      assert.ok(error instanceof WebDriverError);
      assert.equal(error.code, 'no such element');
      assert.match(error.message, /^no such element: Unable to locate element: .*#nobody[^\n]*$/);
      return true;
    });
  });

  it('names the element that is gone', async () => {
    await browser.open(origin);
    const heading = await browser.find('h1');
    await browser.run('document.querySelector("h1").remove()');
    await assert.rejects(heading.text(), {
      code: 'stale element reference',
      message: /^h1: stale element reference: /,
    });
  });

  it('runs a script with arguments, elements among them', async () => {
    await browser.open(origin);
    const heading = await browser.find('h1');
    assert.equal(
      await browser.run('return arguments[0].tagName + arguments[1].n', heading, { n: 1 }),
      'H11',
    );
  });

  it('runs a script that waits', async () => {
    assert.equal(
      await browser.runAsync(
        'const one = await Promise.resolve(1); return one + arguments[0] // sum',
        2,
      ),
      3,
    );
  });

  it('rejects with the exception of a script', async () => {
    await assert.rejects(browser.run('return nobody'), {
      code: 'javascript error',
      message: /nobody is not defined/,
    });
    await assert.rejects(browser.runAsync('await Promise.reject(new Error("in vain"))'), {
      code: 'javascript error',
      message: /in vain/,
    });
  });

  it('emulates the dark scheme and reduced motion over a reload, each without the other', async () => {
    const wishes = `return ['(prefers-color-scheme: dark)', '(prefers-reduced-motion: reduce)'].map((query) => matchMedia(query).matches)`;
    await browser.open(origin);
    assert.deepEqual(await browser.run(wishes), [false, false]);
    await browser.emulate({ colorScheme: 'dark' });
    assert.deepEqual(await browser.run(wishes), [true, false]);
    assert.equal(await (await browser.find('body')).style('background-color'), 'rgba(0, 0, 0, 1)');
    await browser.emulate({ reducedMotion: true });
    await browser.reload();
    assert.deepEqual(await browser.run(wishes), [true, true]);
    await browser.emulate({ colorScheme: 'light' });
    assert.deepEqual(await browser.run(wishes), [false, true]);
  });

  it('gives the page the size that was asked for, also after one that is narrower than any window', async () => {
    await browser.open(origin);
    for (const [width, height] of [
      [1_280, 720],
      [200, 200],
      [360, 640],
      [700, 500],
    ] as const) {
      await browser.setWindowSize(width, height);
      assert.deepEqual(await browser.run('return [innerWidth, innerHeight]'), [width, height]);
    }
  });

  it('emulates a phone until the window has a size again', async () => {
    const screen = `return [innerWidth, innerHeight, devicePixelRatio, matchMedia('(pointer: coarse)').matches]`;
    await browser.open(origin);
    await browser.emulatePhone({ width: 360, height: 740, scale: 3 });
    assert.deepEqual(await browser.run(screen), [360, 740, 3, true]);
    await browser.setWindowSize(800, 600);
    assert.deepEqual(await browser.run(screen), [800, 600, 1, false]);
  });

  it('reports exceptions, console.error and what is missing, each once', async () => {
    await browser.open(origin);
    assert.deepEqual(await browser.consoleErrors(), []);
    await browser.run(
      `console.error('one'); console.log('fine'); console.warn('hm'); setTimeout(() => { throw new Error('two'); })`,
    );
    await browser.runAsync(`await fetch('/three')`);
    const errors = await browser.consoleErrors();
    assert.equal(errors.length, 3, errors.join('\n'));
    for (const said of [/one/, /two/, /three.* 404/]) {
      assert.ok(
        errors.some((error) => said.test(error)),
        `${said} in ${errors.join('\n')}`,
      );
    }
    assert.deepEqual(await browser.consoleErrors(), []);
  });

  it('reaches no other machine', async () => {
    await browser.open(origin);
    // A name that Chromium would resolve by itself, and find our server: the test needs no network
    // to tell that it is not tried.
    const elsewhere = origin.replace('127.0.0.1', 'elsewhere.localhost');
    await browser.runAsync(
      `await fetch(arguments[0], { mode: 'no-cors' }).catch(() => undefined)`,
      elsewhere,
    );
    assert.match((await browser.consoleErrors()).join('\n'), /ERR_NAME_NOT_RESOLVED/);
  });

  it('writes a PNG of the whole page', async (t) => {
    await browser.open(origin);
    const file = await browser.screenshot(join(folder(t), 'page.png'));
    assert.deepEqual(sizeOf(file), [800, 3_000]);
  });

  it('writes a PNG of what is in view', async (t) => {
    await browser.open(origin);
    const file = await browser.screenshot(join(folder(t), 'view.png'), { isFullPage: false });
    assert.deepEqual(sizeOf(file), [800, 600]);
  });

  it('writes a PNG in the pixels of a phone', async (t) => {
    await browser.open(origin);
    await browser.emulatePhone({ width: 360, height: 740 });
    assert.deepEqual(sizeOf(await browser.screenshot(join(folder(t), 'phone.png'))), [720, 6_000]);
  });

  it('cuts a picture off where Chromium draws no further', async (t) => {
    await browser.open(origin);
    await browser.run('document.body.style.height = "20000px"');
    assert.equal(sizeOf(await browser.screenshot(join(folder(t), 'long.png')))[1], 16_384);
  });

  it('tells the page as a screen reader has it, in the order of the document', async () => {
    await browser.open(origin);
    await browser.click('#name');
    const tree = await browser.accessibilityTree();
    const spoken = tree.filter(({ role }) =>
      ['RootWebArea', 'heading', 'textbox', 'button', 'status'].includes(role),
    );
    assert.deepEqual(
      spoken.map(({ role, name }) => `${role} ${name}`),
      [
        'RootWebArea Foundation',
        'heading Hello',
        'textbox Your name',
        'button Greet',
        'button Never',
        'button Later',
      ],
    );
    assert.equal(spoken[1]?.properties['level'], 1);
    assert.equal(spoken[2]?.properties['focused'], true);
    assert.equal(spoken[4]?.properties['disabled'], true);
    assert.ok(tree.every(({ role }) => role !== 'none'));
    assert.ok(
      tree.every(({ depth }, index) =>
        depth === 0 ? index === 0 : depth <= (tree[index - 1]?.depth ?? 0) + 1,
      ),
    );
  });

  it('forgets everything at a reset', async () => {
    await browser.open(origin);
    await browser.emulate({ colorScheme: 'dark' });
    await browser.emulatePhone({ width: 360, height: 740 });
    await browser.run(
      `localStorage.a = sessionStorage.a = 1; document.cookie = 'a=1; max-age=1000'; console.error('old')`,
    );
    await browser.reset();
    await browser.open(origin);
    assert.deepEqual(
      await browser.run(`return [localStorage.a ?? '', sessionStorage.a ?? '', document.cookie]`),
      ['', '', ''],
    );
    assert.deepEqual(
      await browser.run(
        `return [innerWidth, devicePixelRatio, matchMedia('(prefers-color-scheme: dark)').matches]`,
      ),
      [800, 1, false],
    );
    assert.deepEqual(await browser.consoleErrors(), []);
  });
});

describe('openBrowser', () => {
  /**
   * Names of what Browser makes in the folder for temporary files; tsx keeps its cache there too.
   */
  const profiles = (directory: string): string[] =>
    readdirSync(directory).filter((name) => name.startsWith('browser-'));

  /** The command lines of processes that were told of that folder. */
  function processesIn(directory: string): string[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => {
        try {
          const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
          return command.includes(directory) ? [command] : [];
        } catch {
          return []; // it ended meanwhile
        }
      });
  }

  /**
   * A process that was killed is listed for a moment, and Chromium's crash handlers end a little
   * later, on their own.
   */
  async function assertNothingIn(directory: string): Promise<void> {
    await until('the browser is gone', async () => processesIn(directory).length === 0);
    assert.deepEqual(profiles(directory), []);
  }

  /** For the time of a test, the environment says so. */
  function environment(t: TestContext, values: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(values)) {
      const old = process.env[name];
      process.env[name] = value;
      t.after(() => {
        if (old === undefined) delete process.env[name];
        else process.env[name] = old;
      });
    }
  }

  it('closes the browser with the test and leaves nothing behind', async (t) => {
    const directory = folder(t);
    environment(t, { TMPDIR: directory });
    const closers: (() => Promise<void>)[] = [];
    const browser = await openBrowser({ after: (close) => closers.push(close) });
    t.after(() => browser.close());
    assert.equal(profiles(directory).length, 1);
    assert.notDeepEqual(processesIn(directory), []);
    for (const close of closers) await close();
    await assertNothingIn(directory);
    await assert.rejects(browser.title(), /the browser does not run/);
  });

  it('says what to install where the browser is missing', async (t) => {
    environment(t, { CHROMIUM: '/nowhere/chromium' });
    await assert.rejects(openBrowser(t), {
      message:
        'cannot run /nowhere/chromium: apt-get install chromium chromium-driver, or name another in CHROMIUM',
    });
  });

  it('says what to install where the driver is missing', async (t) => {
    environment(t, { CHROMEDRIVER: '/nowhere/chromedriver' });
    await assert.rejects(openBrowser(t), {
      message:
        'cannot run /nowhere/chromedriver: apt-get install chromium chromium-driver, or name another in CHROMEDRIVER',
    });
  });

  it('says how the driver ended that does not start, and leaves nothing behind', async (t) => {
    const directory = folder(t);
    environment(t, { TMPDIR: directory, CHROMEDRIVER: '/bin/false' });
    await assert.rejects(openBrowser(t), /^Error: chromedriver ended with exit code 1/);
    assert.deepEqual(readdirSync(directory), []);
  });

  // ChromeDriver 156 ended so in 1 of 600 starts.
  it('starts the driver again where its port is taken, five times in all', async (t) => {
    const directory = folder(t);
    const starts = join(directory, 'starts');
    const script = (last: string): string => `#!/bin/sh
      echo start >> ${starts}
      [ $(wc -l < ${starts}) -ge 5 ] && ${last}
      echo 'bind() failed: Address already in use (98)'
      exit 1\n`;
    const driver = join(directory, 'driver');
    writeFileSync(
      driver,
      script(`exec ${process.env['CHROMEDRIVER'] || '/usr/bin/chromedriver'} "$@"`),
      { mode: 0o755 },
    );
    environment(t, { CHROMEDRIVER: driver });
    assert.equal(await (await openBrowser(t)).run('return 1 + 1'), 2);
    rmSync(starts);
    writeFileSync(driver, script('true'));
    await assert.rejects(
      openBrowser(t),
      /^PortTakenError: chromedriver ended with exit code 1: bind\(\) failed: Address already in use/,
    );
    assert.equal(readFileSync(starts, 'utf8'), 'start\n'.repeat(5));
  });

  it('carries the words of WebDriver where the browser does not start, and leaves nothing behind', async (t) => {
    const directory = folder(t);
    environment(t, { TMPDIR: directory, CHROMIUM: '/bin/false' });
    await assert.rejects(openBrowser(t), {
      code: 'session not created',
      message: /^session not created: /,
    });
    assert.deepEqual(readdirSync(directory), []);
  });

  for (const [end, exit] of [
    ['process.exit(3)', [3, null]],
    ['throw new Error()', [1, null]],
    ['process.kill(process.pid, "SIGTERM")', [null, 'SIGTERM']],
  ] as const) {
    it(`takes the browser along when the process ends with ${end}`, async (t) => {
      const directory = folder(t);
      const script = `
        import { Browser } from ${JSON.stringify(join(import.meta.dirname, 'webdriver.ts'))};
        await new Browser().start();
        process.stdout.write('started');
        ${end};
      `;
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', '--input-type=module', '--eval', script],
        {
          cwd: join(import.meta.dirname, '../..'),
          env: { ...process.env, TMPDIR: directory },
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      );
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
      assert.deepEqual(await once(child, 'close'), exit);
      assert.equal(output, 'started');
      await assertNothingIn(directory);
    });
  }

  it('refuses to start twice', async (t) => {
    const browser = await openBrowser(t);
    await assert.rejects(browser.start(), /runs already/);
  });

  it('ends what waits for the browser when the driver is gone', async (t) => {
    const browser = await openBrowser(t);
    const title = assert.rejects(browser.runAsync('await new Promise(() => {})'), {
      message: 'the browser was closed',
    });
    await browser.close();
    await title;
  });
});

describe('until', () => {
  it('returns the first value that is one, zero and the empty string among them', async () => {
    const values = [false, undefined, null, 0] as const;
    let asked = 0;
    assert.equal(await until('a value', async () => values[asked++]), 0);
  });

  it('times out with its description', async () => {
    await assert.rejects(
      until('the reply is shown', async () => false, 60),
      { message: 'waited 60 ms in vain: the reply is shown' },
    );
  });

  it('times out while the condition hangs', async () => {
    await assert.rejects(
      until('an answer', () => new Promise(() => undefined), 60),
      { message: 'waited 60 ms in vain: an answer' },
    );
  });

  it('takes an element that is not there for not yet, and says so in the end', async () => {
    const missing = new WebDriverError('no such element', 'no such element: #reply');
    await assert.rejects(
      until('the reply', () => Promise.reject(missing), 60),
      {
        message: 'waited 60 ms in vain: the reply (no such element: #reply)',
        cause: missing,
      },
    );
  });

  it('passes every other error on at once', async () => {
    const broken = new WebDriverError('invalid selector', 'invalid selector: %');
    await assert.rejects(
      until('never', () => Promise.reject(broken)),
      broken,
    );
  });
});

describe('keyActions', () => {
  it('holds modifiers while the key is struck', () => {
    assert.deepEqual(
      keyActions('Control+Shift+ArrowUp').map(
        ({ type, value }) => `${type} ${value.codePointAt(0)?.toString(16)}`,
      ),
      ['keyDown e009', 'keyDown e008', 'keyDown e013', 'keyUp e013', 'keyUp e008', 'keyUp e009'],
    );
  });

  it('takes single characters, the plus among them', () => {
    for (const [stroke, value] of [
      ['a', 'a'],
      ['+', '+'],
      ['Shift++', '+'],
      ['👋', '👋'],
    ] as const) {
      assert.ok(
        keyActions(stroke).some((action) => action.value === value),
        stroke,
      );
    }
  });

  it('refuses a name that no key has', () => {
    for (const stroke of ['Return', 'Shift+Nope', 'Hyper+a', '', 'Shift+', 'ab', 'constructor']) {
      assert.throws(() => keyActions(stroke), { name: 'TypeError', message: /^no key "/ }, stroke);
    }
  });
});

describe('artefact', () => {
  it('is a picture in the folder that the environment names, which is made', (t) => {
    const old = process.env['ARTEFACTS'];
    t.after(() => {
      if (old === undefined) delete process.env['ARTEFACTS'];
      else process.env['ARTEFACTS'] = old;
    });
    process.env['ARTEFACTS'] = join(folder(t), 'made', 'here');
    const file = artefact('playground-dark');
    assert.equal(dirname(file), process.env['ARTEFACTS']);
    assert.equal(basename(file), 'playground-dark.png');
    assert.ok(existsSync(dirname(file)));
  });

  it('refuses a name that leads elsewhere', () => {
    for (const name of ['../a', 'a/b', '', 'A', 'a.png']) {
      assert.throws(() => artefact(name), { name: 'TypeError' }, name);
    }
  });
});
