// A front end with the official client for browsers. `?server=localhost:8000` says where our server
// is, `&audio=true` leaves the sound on.

import LayercodeClient from '@layercode/js-sdk';

const query = new URLSearchParams(location.search);
const server = query.get('server');
const isSilent = query.get('audio') !== 'true';

/** What the client reported, in order: a callback's name, and what the callback was given. */
globalThis.told = [];
const tell = (name) => (value) =>
  globalThis.told.push([name, value instanceof Error ? value.message : value]);
globalThis.toldTo = (callback) =>
  globalThis.told.filter(([name]) => name === callback).map(([, value]) => value);
/** `turn.start assistant`, `response.text "Hello there."`, `response.end` */
globalThis.shapeOf = ({ type, role, content }) =>
  [type, role, JSON.stringify(content)].filter((part) => part !== undefined).join(' ');

/** The types of the frames that the client sent, noted where they leave the page. */
globalThis.sent = [];
const { send } = WebSocket.prototype;
WebSocket.prototype.send = function (data) {
  globalThis.sent.push(JSON.parse(data).type);
  send.call(this, data);
};

const client = new LayercodeClient({
  agentId: 'ag-1',
  authorizeSessionEndpoint: `http://${server}/api/authorize`,
  metadata: { page: 'shop' },
  // Text mode: no microphone, no speaker, nothing to measure.
  ...(isSilent ? { audioInput: false, audioOutput: false, enableAmplitudeMonitoring: false } : {}),
  onConnect: tell('onConnect'),
  onDisconnect: tell('onDisconnect'),
  onError: tell('onError'),
  onMessage: tell('onMessage'),
  onDataMessage: tell('onDataMessage'),
  onStatusChange: tell('onStatusChange'),
});
// The one line that a front end needs to talk to this machine.
client._websocketUrl = `ws://${server}/v1/agents/web/websocket`;

globalThis.client = client;
