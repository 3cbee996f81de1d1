// Whom the webhook lets in, and what it refuses in which words.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { signPayload } from '../../../../src/core/wires/layercode/signature.ts';
import { messageEvent, notByFetch, rawRequest, SECRET, serve } from '../../../fixtures/app.ts';
import { wireBody } from '../../../fixtures/wire.ts';

const BODY = JSON.stringify(messageEvent());
/** The parts of a valid signature for a body, to be put together wrongly. */
function parts(
  body: string,
  time = Math.floor(Date.now() / 1_000),
  secret = SECRET,
): { t: string; v1: string } {
  const [t = '', v1 = ''] = signPayload(body, secret, { time }).split(',');
  return { t, v1 };
}

describe('the check of webhook signatures', () => {
  const wrong = 'v1=' + '0'.repeat(64);
  it('refuses a wrong signature, says no more, and leaves no trace of the message', async (t) => {
    const { client, app } = serve(t, {});
    const reply = await client.post(BODY, { signature: `${parts(BODY).t},${wrong}` });
    assert.deepEqual([reply.status, await reply.json()], [401, { error: 'Invalid signature' }]);
    assert.equal(await app.conversations.count(), 0);
  });

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

  it('refuses a signature over re-serialised JSON', async (t) => {
    const { client } = serve(t, {});
    const body = wireBody('message');
    const reply = await client.post(body, {
      signature: signPayload(JSON.stringify(JSON.parse(body)), SECRET),
    });
    assert.equal(reply.status, 401);
  });

  it('refuses a repeated header, even if each of the two is valid', async (t) => {
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

  for (const [what, body, signature, headers] of [
    ['a wrong signature before it finds that the body is not JSON', '{"type":', wrong, {}],
    ['a missing signature before the content type', BODY, null, { 'content-type': 'text/plain' }],
  ] as const)
    it(`refuses ${what}`, async (t) => {
      const { client } = serve(t, {}, { environment: { MAX_BODY_BYTES: '1000' } });
      const given = signature && `${parts('x').t},${signature}`;
      assert.equal((await client.post(body, { signature: given, headers })).status, 401);
    });

  it('refuses a missing signature before the body has come', async (t) => {
    const connection = await serve(t, {}).raw();
    connection.write(rawRequest(BODY, { signature: null }).slice(0, -BODY.length));
    assert.equal(await connection.status(), 401);
  });
});

describe('the body of a webhook', () => {
  const limit = { environment: { MAX_BODY_BYTES: '1000' } };
  const ofLength = (length: number): string => BODY + ' '.repeat(length - Buffer.byteLength(BODY));

  it('is refused one byte beyond the limit', async (t) => {
    const { client } = serve(t, {}, limit);
    const reply = await client.post(ofLength(1_001));
    const error = 'the body is larger than 1000 bytes';
    assert.deepEqual([reply.status, await reply.json()], [413, { error }]);
  });

  for (const [type, status] of [
    ['text/plain', 415],
    ['application/x-www-form-urlencoded', 415],
    ['application/jsonp', 415],
    ['', 415],
    ['application/json; charset=utf-8', 200],
    ['Application/JSON', 200],
    ['application/json;v=1', 200],
  ] as const)
    it(`is answered with ${status} for content type ${JSON.stringify(type)}`, async (t) => {
      const { client } = serve(t, {});
      const headers = { 'content-type': type };
      assert.equal((await client.post(Buffer.from(BODY), { headers })).status, status);
    });

  for (const [what, body, named] of [
    ['that is empty', '', /^the body is empty/],
    ['that is not JSON', BODY.slice(0, -1), /^the body is not JSON/],
    ['without text', JSON.stringify(messageEvent({ text: undefined })), /^text must be a string/],
  ] as const) {
    it(`${what} is refused, and the message says why`, async (t) => {
      const { client } = serve(t, {});
      const reply = await client.post(body);
      const { error } = (await reply.json()) as { error: string };
      assert.equal(reply.status, 400);
      assert.match(error, named);
    });
  }

  it('is refused for its content type, of which at most 100 characters are quoted', async (t) => {
    const { client } = serve(t, {});
    const headers = { 'content-type': `text/${'x'.repeat(300)}` };
    const { response } = await client.post(messageEvent(), { headers });
    const { error } = (await response.json()) as { error: string };
    const expected = `content-type must be application/json, got "text/${'x'.repeat(95)}"`;
    assert.deepEqual([response.status, error], [415, expected]);
  });

  it('is refused with any content encoding but identity, which the answer names', async (t) => {
    const { client } = serve(t, {});
    const plain = { 'content-encoding': 'identity' };
    assert.equal((await client.post(messageEvent(), { headers: plain })).status, 200);
    const headers = { 'content-encoding': 'gzip' };
    const { response } = await client.post(gzipSync(JSON.stringify(messageEvent())), { headers });
    const { error } = (await response.json()) as { error: string };
    const expected = 'the body must not be encoded, got content-encoding "gzip"';
    assert.deepEqual([response.status, error], [415, expected]);
    assert.equal(response.headers.get('accept-encoding'), 'identity');
  });
});
