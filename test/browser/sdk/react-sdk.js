// A front end with the official hook for React. `?server=localhost:8000` says where our server is.

import { useLayercodeAgent } from '@layercode/react-sdk';
import { createElement as h, useState } from 'react';
import { createRoot } from 'react-dom/client';

const server = new URLSearchParams(location.search).get('server');

globalThis.errors = [];

function Chat() {
  const [lines, setLines] = useState([]);
  const [words, setWords] = useState('');
  const agent = useLayercodeAgent({
    agentId: 'ag-1',
    authorizeSessionEndpoint: `http://${server}/api/authorize`,
    // The one option that a front end needs to talk to this machine. It is not in the hook's types,
    // but these let any option pass.
    _websocketUrl: `ws://${server}/v1/agents/web/websocket`,
    // Text mode: no microphone, no list of microphones, no speaker, nothing to measure.
    audioInput: false,
    autoLoadInputDevices: false,
    audioOutput: false,
    enableAmplitudeMonitoring: false,
    onError: (error) => globalThis.errors.push(error.message),
    onMessage: ({ type, content }) => {
      if (type === 'response.text') setLines((before) => [...before, content]);
    },
    onDataMessage: ({ content }) => setLines((before) => [...before, JSON.stringify(content)]),
  });
  return h('main', null,
    h('p', { id: 'status' }, agent.status),
    h('p', { id: 'conversation' }, agent.conversationId),
    h('ol', null, lines.map((line, index) => h('li', { key: index }, line))),
    h('button', { id: 'connect', onClick: () => agent.connect() }, 'Connect'),
    h('button', { id: 'disconnect', onClick: () => agent.disconnect() }, 'Disconnect'),
    h('input', {
      id: 'words',
      'aria-label': 'Words',
      value: words,
      onChange: (event) => setWords(event.target.value),
    }),
    h('button', { id: 'say', onClick: () => agent.sendClientResponseText(words) }, 'Say'),
    h(
      'button',
      { id: 'point', onClick: () => agent.sendClientResponseData({ item: words }) },
      'Point',
    ),
  );
}

createRoot(document.querySelector('#root')).render(h(Chat));
