import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';

import {
  acceptHeaders,
  checkHandshake,
  type HandshakeRefusal,
} from '../../../src/base/websocket/handshake.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** The handshake of RFC 6455 §1.3, with the extension that browsers offer. */
const HANDSHAKE = {
  host: 'server.example.com',
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-key': KEY,
  'sec-websocket-version': '13',
  'sec-websocket-protocol': 'chat, superchat',
  'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits',
};
type Headers = Readonly<Record<string, string | undefined>>;

function requestWith(
  headers: Headers = {},
  { method = 'GET', httpVersion = '1.1' } = {},
): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  Object.assign(request, { method, httpVersion });
  for (const [name, value] of Object.entries({ ...HANDSHAKE, ...headers })) {
    if (value !== undefined) request.headers[name] = value;
  }
  return request;
}

const UPGRADE = ['upgrade', 'websocket', 'connection', 'Upgrade'];
const BAD_KEY = {
  status: 400,
  reason: 'Sec-WebSocket-Key must be base64 of 16 bytes, sent once',
  headers: [],
};
const NO_OFFER = { status: 426, reason: 'Upgrade must be websocket', headers: UPGRADE };
const OTHER_VERSION = {
  status: 426,
  reason: 'Sec-WebSocket-Version must be 13',
  headers: [...UPGRADE, 'sec-websocket-version', '13'],
};
const NO_UPGRADE = { status: 400, reason: 'Connection must have upgrade', headers: [] };
const BODY = { status: 400, reason: 'a WebSocket handshake must have no body', headers: [] };

const REFUSED: readonly (readonly [
  what: string,
  request: IncomingMessage,
  refusal: HandshakeRefusal,
])[] = [
  ['a request with no offer', requestWith({ upgrade: undefined, connection: undefined }), NO_OFFER],
  [
    'a request without an offer, whatever the method',
    requestWith({ upgrade: undefined }, { method: 'HEAD' }),
    NO_OFFER,
  ],
  ['an offer of another protocol', requestWith({ upgrade: 'h2c' }), NO_OFFER],
  [
    'an offer of a protocol whose name only contains websocket',
    requestWith({ upgrade: 'x-websocket, websocket/13' }),
    NO_OFFER,
  ],
  [
    'POST',
    requestWith({}, { method: 'POST' }),
    {
      status: 405,
      reason: 'a WebSocket handshake must be GET, got POST',
      headers: ['allow', 'GET'],
    },
  ],
  [
    'HTTP/1.0',
    requestWith({}, { httpVersion: '1.0' }),
    { status: 400, reason: 'a WebSocket handshake must be HTTP/1.1, got HTTP/1.0', headers: [] },
  ],
  [
    'a request without a host',
    requestWith({ host: undefined }),
    { status: 400, reason: 'Host is missing', headers: [] },
  ],
  ['a body of known length', requestWith({ 'content-length': '1' }), BODY],
  ['a body of unknown length', requestWith({ 'transfer-encoding': 'chunked' }), BODY],
  ['a missing connection header', requestWith({ connection: undefined }), NO_UPGRADE],
  [
    'a connection header without upgrade',
    requestWith({ connection: 'keep-alive, upgraded' }),
    NO_UPGRADE,
  ],
  ['a missing version', requestWith({ 'sec-websocket-version': undefined }), OTHER_VERSION],
  ['an older version', requestWith({ 'sec-websocket-version': '8' }), OTHER_VERSION],
  ['a version sent twice', requestWith({ 'sec-websocket-version': '13, 13' }), OTHER_VERSION],
  ['a key sent twice', requestWith({ 'sec-websocket-key': `${KEY}, ${KEY}` }), BAD_KEY],
  ...[
    undefined, '', 'dGhlIHNhbXBsZSBub25jZQ', '-_hlIHNhbXBsZSBub25jZQ==',
    ...[15, 17, 18].map((length) => Buffer.alloc(length).toString('base64')),
  ].map((key) => [`the key ${key}`, requestWith({ 'sec-websocket-key': key }), BAD_KEY] as const),
];

const ACCEPTED: readonly (readonly [what: string, headers: Headers])[] = [
  ['a browser\'s handshake', {}],
  [
    'tokens in any case, among others',
    { upgrade: 'h2c , WebSocket', connection: 'keep-alive,UPGRADE' },
  ],
  ['a content-length of 0', { 'content-length': '0' }],
  ['a key of any 16 bytes', { 'sec-websocket-key': Buffer.alloc(16, 0xff).toString('base64') }],
];

describe('checkHandshake', () => {
  for (const [what, request, refusal] of REFUSED) {
    it(`refuses ${what}`, () => assert.deepEqual(checkHandshake(request), refusal));
  }

  for (const [what, headers] of ACCEPTED) {
    it(`accepts ${what}`, () => assert.equal(checkHandshake(requestWith(headers)), undefined));
  }
});

describe('acceptHeaders', () => {
  it('answers the handshake of RFC 6455 §1.3, without a subprotocol or an extension', () => {
    assert.deepEqual(acceptHeaders(requestWith()), [
      ...UPGRADE,
      'sec-websocket-accept',
      's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    ]);
  });
});
