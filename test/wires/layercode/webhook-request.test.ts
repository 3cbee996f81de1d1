// Who the webhook lets in, and what it refuses with which words.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { createApp } from '../../../src/app/create-app.ts';
import { parseSettings } from '../../../src/settings/parse-settings.ts';
import { signPayload } from '../../../src/wires/layercode/signature.ts';
import {
  contentsOf,
  errorsIn,
  messageEvent,
  notByFetch,
  rawRequest,
  SECRET,
  serve,
  until,
} from '../../fixtures/app.ts';
import { wireBody } from '../../fixtures/wire.ts';

const BODY = JSON.stringify(messageEvent());
const UNAUTHORIZED = { error: 'Invalid signature' };

/** The parts of a right signature for a body, to be put together wrongly. */
function parts(
  body: string,
  time = Math.floor(Date.now() / 1_000),
  secret = SECRET,
): { t: string; v1: string } {
  const [t = '', v1 = ''] = signPayload(body, secret, { time }).split(',');
  return { t, v1 };
}

describe('webhook signature', () => {
  const wrong = 'v1=' + '0'.repeat(64);
  const now = (): number => Math.floor(Date.now() / 1_000);

  for (const [what, signature] of [
    ['no signature', () => null],
    ['an empty signature', () => ''],
    ['a signature without a time', () => parts(BODY).v1],
    ['a signature without a digest', () => parts(BODY).t],
    ['a part that is no key=value', () => `${signPayload(BODY, SECRET)},rubbish`],
    ['a time that is no number', () => `t=today,${parts(BODY).v1}`],
    ['a time with a fraction', () => `${parts(BODY).t}.5,${parts(BODY).v1}`],
    ['two times', () => `${parts(BODY).t},${signPayload(BODY, SECRET)}`],
    ['a digest one digit short', () => signPayload(BODY, SECRET).slice(0, -1)],
    ['a digest that is not hexadecimal', () => `${signPayload(BODY, SECRET).slice(0, -1)}g`],
    ['a wrong digest', () => `${parts(BODY).t},${wrong}`],
    ['a right digest under another key', () => signPayload(BODY, SECRET).replace('v1=', 'v0=')],
    ['a signature by another secret', () => signPayload(BODY, `${SECRET}x`)],
    [
      'a signature by the secret without its prefix',
      () => signPayload(BODY, SECRET.replace('whsec_', '')),
    ],
    ['a signature of another body', () => signPayload(`${BODY} `, SECRET)],
    [
      'a signature for another time than it names',
      () => signPayload(BODY, SECRET, { time: now() - 1 }).replace(/^t=\d+/, `t=${now()}`),
    ],
    ['a time of 310 s ago', () => signPayload(BODY, SECRET, { time: now() - 310 })],
    ['a time 310 s ahead', () => signPayload(BODY, SECRET, { time: now() + 310 })],
  ] as const) {
    it(`refuses ${what}`, async (t) => {
      const { client } = serve(t, {});
      const reply = await client.post(BODY, { signature: signature() });
      assert.deepEqual([reply.status, await reply.json()], [401, UNAUTHORIZED]);
    });
  }

  for (const [what, offset, status] of [
    ['accepts a time of exactly 300 s ago', -300, 200],
    ['refuses a time of 301 s ago', -301, 401],
    ['accepts a time exactly 300 s ahead', 300, 200],
    ['refuses a time 301 s ahead', 301, 401],
  ] as const) {
    it(what, async (t) => {
      // Or a second could pass between signing and checking. Before the app is made, which keeps
      // the clock it finds.
      t.mock.timers.enable({ apis: ['Date'], now: 1_760_000_000_000 });
      const { client } = serve(t, {});
      const reply = await client.post(BODY, {
        signature: signPayload(BODY, SECRET, { time: 1_760_000_000 + offset }),
      });
      assert.equal(reply.status, status);
    });
  }

  for (const [what, signature] of [
    ['the order v1, t', () => `${parts(BODY).v1},${parts(BODY).t}`],
    ['upper-case digits', () => `${parts(BODY).t},v1=${parts(BODY).v1.slice(3).toUpperCase()}`],
    ['a wrong v1 before the right one', () => `${parts(BODY).t},${wrong},${parts(BODY).v1}`],
    ['a wrong v1 behind the right one', () => `${signPayload(BODY, SECRET)},${wrong}`],
    ['a v1 of another form beside the right one', () => `${signPayload(BODY, SECRET)},v1=later`],
    ['unknown keys', () => `v0=abc,${signPayload(BODY, SECRET)},v2=def=,x=`],
    ['spaces around the parts', () => `${parts(BODY).t} , ${parts(BODY).v1}`],
  ] as const) {
    it(`accepts ${what}`, async (t) => {
      const { client } = serve(t, {});
      assert.equal((await client.post(BODY, { signature: signature() })).status, 200);
    });
  }

  for (const secret of ['whsec_first_of_two', 'whsec_second_of_two']) {
    it(`accepts ${secret} while two secrets are valid`, async (t) => {
      const { client } = serve(
        t,
        {},
        { environment: { LAYERCODE_WEBHOOK_SECRET: 'whsec_first_of_two,whsec_second_of_two' } },
      );
      assert.equal((await client.post(BODY, { signature: signPayload(BODY, secret) })).status, 200);
    });
  }

  it('accepts a body whose JSON a round trip would change', async (t) => {
    const { client } = serve(t, {});
    assert.equal((await client.post(wireBody('message'))).status, 200);
  });

  it('refuses a signature over re-serialised JSON', async (t) => {
    const { client } = serve(t, {});
    const body = wireBody('message');
    const reply = await client.post(body, {
      signature: signPayload(JSON.stringify(JSON.parse(body)), SECRET),
    });
    assert.equal(reply.status, 401);
  });

  it('refuses a repeated header, though each of the two is right', async (t) => {
    const connection = await serve(t, {}).raw();
    connection.write(
      rawRequest(messageEvent(), {
        headers: [`layercode-signature: ${signPayload(JSON.stringify(messageEvent()), SECRET)}`],
      }),
    );
    assert.equal(await connection.status(), 401);
  });

  const joined = notByFetch('Headers joins them, and together they are right');
  it('refuses two headers that hold the time and the digest', joined, async (t) => {
    const connection = await serve(t, {}).raw();
    const { t: time, v1 } = parts(BODY);
    connection.write(
      rawRequest(BODY, { signature: time, headers: [`layercode-signature: ${v1}`] }),
    );
    assert.equal(await connection.status(), 401);
  });

  it('refuses a wrong signature before it finds that the body is no JSON', async (t) => {
    const { client } = serve(t, {});
    assert.equal(
      (await client.post('{"type":', { signature: `${parts('x').t},${wrong}` })).status,
      401,
    );
  });

  it('refuses a missing signature before it finds the content type wrong', async (t) => {
    const { client } = serve(t, {});
    assert.equal(
      (await client.post(BODY, { signature: null, headers: { 'content-type': 'text/plain' } }))
        .status,
      401,
    );
  });

  it('refuses a missing signature before the body has come', async (t) => {
    const connection = await serve(t, {}).raw();
    connection.write(rawRequest(BODY, { signature: null }).slice(0, -BODY.length));
    assert.equal(await connection.status(), 401);
  });

  it('refuses a missing signature before it finds the body too large', async (t) => {
    const { client } = serve(t, {}, { environment: { MAX_BODY_BYTES: '10' } });
    assert.equal((await client.post(BODY, { signature: null })).status, 401);
  });

  it('leaves no trace of a refused message', async (t) => {
    const { client, app } = serve(t, {});
    await client.post(BODY, { signature: `${parts(BODY).t},${wrong}` });
    assert.equal(await app.conversations.count(), 0);
  });

  it('is never off: an app without a secret is not made', () => {
    assert.throws(
      () => createApp(parseSettings({}, []), { name: 'any', onMessage: () => 'Yes.' }),
      /LAYERCODE_WEBHOOK_SECRET/,
    );
  });
});

describe('webhook body', () => {
  const limit = { environment: { MAX_BODY_BYTES: '1000' } };
  const ofLength = (length: number): string => BODY + ' '.repeat(length - Buffer.byteLength(BODY));

  it('is accepted at exactly the limit', async (t) => {
    const { client } = serve(t, {}, limit);
    assert.equal((await client.post(ofLength(1_000))).status, 200);
  });

  it('is refused one byte beyond the limit', async (t) => {
    const { client } = serve(t, {}, limit);
    const reply = await client.post(ofLength(1_001));
    assert.deepEqual(
      [reply.status, await reply.json()],
      [413, { error: 'the body is larger than 1000 bytes' }],
    );
  });

  it('is measured in bytes, not in characters', async (t) => {
    const { client } = serve(t, {}, limit);
    assert.equal(
      (await client.post(JSON.stringify(messageEvent({ text: '€'.repeat(400) })))).status,
      413,
    );
  });

  it('is accepted at exactly the limit without content-length', async (t) => {
    const connection = await serve(t, {}, limit).raw();
    connection.write(rawRequest(ofLength(1_000), { chunkSize: 64 }));
    assert.equal(await connection.status(), 200);
  });

  it('is refused one byte beyond the limit without content-length', async (t) => {
    const connection = await serve(t, {}, limit).raw();
    connection.write(rawRequest(ofLength(1_001), { chunkSize: 64 }));
    assert.equal(await connection.status(), 413);
  });

  it('is refused by its declared length before it has come', async (t) => {
    const connection = await serve(t, {}, limit).raw();
    connection.write(rawRequest(ofLength(1_001)).slice(0, -1_001));
    assert.equal(await connection.status(), 413);
  });

  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', '']) {
    it(`is refused with content type ${JSON.stringify(type)}`, async (t) => {
      const { client } = serve(t, {});
      assert.equal(
        (await client.post(new TextEncoder().encode(BODY), { headers: { 'content-type': type } }))
          .status,
        415,
      );
    });
  }

  for (const type of [
    'application/json; charset=utf-8',
    'Application/JSON',
    'application/json;v=1',
  ]) {
    it(`is accepted with content type ${type}`, async (t) => {
      const { client } = serve(t, {});
      assert.equal((await client.post(BODY, { headers: { 'content-type': type } })).status, 200);
    });
  }

  const damaged = (fields: Readonly<Record<string, unknown>>): string =>
    JSON.stringify(messageEvent(fields));
  const call = (fields: Readonly<Record<string, unknown>>): string =>
    JSON.stringify({ ...(JSON.parse(wireBody('transcript')) as object), ...fields });
  for (const [what, body, named] of [
    ['that is empty', '', /body/],
    ['that is broken JSON', BODY.slice(0, -1), /JSON/],
    ['that is an array', `[${BODY}]`, /object/],
    ['that is null', 'null', /object/],
    ['that is a string', '"message"', /object/],
    ['that is not UTF-8', Buffer.from(BODY.replace('Hello?', '\u00ff'), 'latin1'), /UTF-8/],
    ['without a type', damaged({ type: undefined }), /^type /],
    ['whose type is no string', damaged({ type: 7 }), /^type /],
    ['whose type is empty', damaged({ type: '' }), /^type /],
    ['without session_id', damaged({ session_id: undefined }), /^session_id /],
    ['whose session_id is empty', damaged({ session_id: '' }), /^session_id /],
    ['whose conversation_id is a number', damaged({ conversation_id: 12 }), /^conversation_id /],
    [
      'whose conversation_id has 257 characters',
      damaged({ conversation_id: 'c'.repeat(257) }),
      /^conversation_id /,
    ],
    [
      'whose conversation_id holds a line break',
      damaged({ conversation_id: 'c\n1' }),
      /^conversation_id /,
    ],
    ['whose turn_id holds a control character', damaged({ turn_id: 't\u00001' }), /^turn_id /],
    ['whose turn_id is empty', damaged({ turn_id: '' }), /^turn_id /],
    ['without text', damaged({ text: undefined }), /^text /],
    ['whose text is null', damaged({ text: null }), /^text /],
    ['whose metadata is an array', damaged({ metadata: [] }), /^metadata /],
    ['whose custom_metadata is a string', damaged({ custom_metadata: 'x' }), /^custom_metadata /],
    [
      'whose interruption_context lacks its flag',
      damaged({ interruption_context: { text_heard: 'x' } }),
      /^interruption_context\.previous_turn_interrupted /,
    ],
    [
      'whose text_heard is a number',
      damaged({ interruption_context: { previous_turn_interrupted: true, text_heard: 3 } }),
      /^interruption_context\.text_heard /,
    ],
    ['of a data event without data', damaged({ type: 'data' }), /^data /],
    ['of a call without call_id', call({ call_id: undefined }), /^call_id /],
    ['of a call whose transcript is no string', call({ transcript: null }), /^transcript /],
    [
      'of a session.end with a transcript entry without role',
      damaged({ type: 'session.end', transcript: [{ text: 'Hi' }] }),
      /^transcript\[0\]\.role /,
    ],
  ] as const) {
    it(`${what} is refused, and the message says where`, async (t) => {
      const { client } = serve(t, {});
      const reply = await client.post(body);
      const { error } = (await reply.json()) as { error: string };
      assert.deepEqual([reply.status, named.test(error)], [400, true], error);
    });
  }

  it('is refused with 100 characters of a content type that is longer', async (t) => {
    const { client } = serve(t, {});
    const headers = { 'content-type': `text/${'x'.repeat(300)}` };
    const { response } = await client.post(messageEvent(), { headers });
    const { error } = (await response.json()) as { error: string };
    const expected = `content-type must be application/json, got "text/${'x'.repeat(95)}"`;
    assert.deepEqual([response.status, error], [415, expected]);
  });

  it('is refused with a content encoding, and the answer names it', async (t) => {
    const { client } = serve(t, {});
    const headers = { 'content-encoding': 'gzip' };
    const { response } = await client.post(gzipSync(JSON.stringify(messageEvent())), { headers });
    const { error } = (await response.json()) as { error: string };
    const expected = 'the body must not be encoded, got content-encoding "gzip"';
    assert.deepEqual([response.status, error], [415, expected]);
    assert.equal(response.headers.get('accept-encoding'), 'identity');
  });

  it("is not quoted in the refusal: it may be a caller's words", async (t) => {
    const { client } = serve(t, {});
    const text = await (await client.post('{"text":"my PIN is 1234"')).response.text();
    assert.doesNotMatch(text, /PIN/);
  });

  it('may hold ids of exactly 256 characters', async (t) => {
    const { client } = serve(t, {});
    assert.equal(
      (await client.post(damaged({ conversation_id: 'c'.repeat(256), turn_id: 't'.repeat(256) })))
        .status,
      200,
    );
  });

  it('may hold null where it may leave out', async (t) => {
    const { client } = serve(t, {});
    const nothing = {
      turn_id: null,
      metadata: null,
      custom_metadata: null,
      from_phone_number: null,
      interruption_context: null,
    };
    assert.equal((await client.post(damaged(nothing))).status, 200);
  });

  it('may have its keys in any order', async (t) => {
    const { client } = serve(t, {});
    const reversed = Object.fromEntries(Object.entries(messageEvent()).reverse());
    assert.deepEqual(contentsOf(await (await client.post(reversed)).events()), ['Yes.']);
  });

  it('that ends in the middle leaves no error in the log', async (t) => {
    const { raw, client, logLines } = serve(t, {});
    const connection = await raw();
    connection.write(rawRequest(BODY).slice(0, -10));
    await client.start(); // the other request has reached the server, too
    connection.socket.destroy();
    await until(
      () => logLines.some((line) => line.includes('"isCutShort":true')),
      'the end of the request',
    );
    await client.start();
    assert.deepEqual(errorsIn(logLines), []);
  });
});
