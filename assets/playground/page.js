// Connects the parts of the page: the caller's actions go to the session, and its frames go to the
// panels.

import { showAgent } from './agent-card.js';
import { readCaller } from './caller-form.js';
import { createDataPanel } from './data-panel.js';
import { Deliveries, eventField, isHangUp, isTraceFrame } from './deliveries.js';
import { byId, element } from './element.js';
import { createEvents } from './events.js';
import { createHistory } from './history.js';
import { createMicrophone } from './microphone.js';
import { Session } from './session.js';
import { Speaker } from './speaker.js';
import { stickToEnd } from './stick-to-end.js';
import { activateTabs } from './tabs.js';
import { TalkScript } from './talk-script.js';
import { createTimeline } from './timeline.js';
import { Transcript } from './transcript.js';
import { verdict } from './verdict.js';

/** @import { ClientFrame, ServerFrame, TraceFrame } from '../../src/kit/platform/frames.ts' */
/** @import { Delivery } from './deliveries.js' */

const CONNECTION_WORDS = {
  connecting: 'connecting',
  open: 'connected',
  reconnecting: 'waiting for the server',
  closed: 'closed',
  failed: 'failed',
};
const COPIED_MS = 1_500;
const SCRIPT_NAME = 'talk.txt';

const button = (/** @type {string} */ id) => byId(id, HTMLButtonElement);
const say = byId('say', HTMLInputElement);
const speakReplies = byId('speak-replies', HTMLInputElement);
const voiceNote = byId('voice-note', HTMLElement);
const connection = byId('connection', HTMLElement);
const conversation = byId('conversation', HTMLElement);
const metadata = byId('custom-metadata', HTMLTextAreaElement);
const activity = byId('activity', HTMLElement);
const agentChoice = byId('agent-choice', HTMLSelectElement);
const wireChoice = byId('wire-choice', HTMLSelectElement);

const transcript = new Transcript(byId('transcript', HTMLElement), byId('announcer', HTMLElement));
const timeline = createTimeline(byId('timeline', HTMLElement), byId('timeline-axis', SVGElement));
const events = createEvents(byId('events', HTMLElement), (count) =>
  showCount('events-count', count),
);
const data = createDataPanel(byId('data', HTMLElement), (count) => showCount('data-count', count));
const history = createHistory(
  byId('history', HTMLElement),
  (count) => showCount('history-count', count),
  showProblem,
);
const script = new TalkScript();
let deliveries = new Deliveries();
let agent = { name: 'unknown', hasModel: true };
/** Set while the server is away. */
let isAway = false;
/** Set from the press of the button until the drop is reported. Any other drop is a barge-in. */
let isDropAsked = false;
/** What the caller seems to be saying. */
let interim = '';

const speaker = new Speaker({
  synthesis: globalThis.speechSynthesis,
  onFinish: (turnId) =>
    session.send({
      type: 'trigger.response.audio.replay_finished',
      reason: 'completed',
      turn_id: turnId,
    }),
  onChange: showActivity,
});

const Recognition = window.SpeechRecognition ?? window.webkitSpeechRecognition;
const microphone = Recognition && createMicrophone(Recognition, {
  onSpeechStart: interrupt,
  onInterim(text) {
    interim = text;
    showActivity();
  },
  onText: sendText,
  onProblem: showProblem,
  onChange() {
    interim = '';
    showActivity();
  },
});

const session = new Session({
  onState(state) {
    connection.dataset['state'] = state;
    connection.textContent = CONNECTION_WORDS[state];
    if (state === 'open' && isAway) {
      transcript.addNotice('The server is back, and the conversation continues.');
      void refreshAgent(); // it may be a different one now
    }
    if (state !== 'reconnecting') isAway = false;
    conversation.textContent = session.conversationId ?? '–';
    showActivity();
  },
  onFrame(frame) {
    if (isTraceFrame(frame)) deliveries.inOrder(frame).forEach(observe);
    else follow(frame);
    showActivity();
  },
  onClose({ code, reason, wasOpen, isLost }) {
    endTalk();
    isAway = isLost;
    const why = reason === '' ? `code ${code}` : `${reason}, code ${code}`;
    if (!wasOpen) transcript.addNotice(`The server refused the socket (${why}).`, 'bad');
    else if (isLost)
      transcript.addNotice(
        `The connection is lost: ${why}. The page connects again when the server is back.`,
        'bad',
      );
    else
      transcript.addNotice(
        `The connection is closed: ${why}. Reconnect continues this conversation.`,
        code === 1_000 ? 'plain' : 'bad',
      );
    if (!isLost) refreshHistory();
    showActivity();
  },
  onProblem: showProblem,
});

/** Handles a frame for the caller. @param {Exclude<ServerFrame, TraceFrame>} frame */
function follow(frame) {
  script.follow(frame);
  switch (frame.type) {
    case 'user.transcript':
      transcript.addCaller(frame.turn_id, frame.content);
      break;
    case 'turn.start':
      if (frame.role === 'user') break;
      transcript.beginReply(frame.turn_id);
      speaker.begin(frame.turn_id);
      break;
    case 'response.text.delta':
      transcript.append(frame.turn_id, frame.content);
      speaker.add(frame.turn_id, frame.content);
      break;
    case 'response.text':
      transcript.replaceText(frame.turn_id, frame.content);
      break;
    case 'response.data':
      data.add(frame.turn_id, frame.content);
      break;
    case 'response.end':
      transcript.completeReply(frame.turn_id);
      speaker.end(frame.turn_id);
      break;
    case 'turn.end':
      if (frame.role === 'user') break;
      if (transcript.interruptReply(frame.turn_id)) speaker.stop();
      refreshHistory();
      break;
    case 'response.audio': // silent, for clients that wait for sound
      break;
  }
}

/** Handles a frame of the trace. @param {TraceFrame} frame */
function observe(frame) {
  const delivery = deliveries.observe(frame);
  events.add(frame, delivery);
  if (delivery === undefined) return;
  script.observe(frame, delivery.turnId);
  if (frame.type === 'local.request') {
    cutInterrupted(frame.interruption ?? frame.event['interruption_context']);
  }
  if (frame.type === 'local.event' && isHangUp(frame.event)) {
    transcript.addNotice(noticeOfHangUp(frame.event));
  }
  if (delivery.isTurn) timeline.show(delivery);
  const found = verdict(frame, delivery, isDropAsked);
  if (found !== undefined) transcript.addNotice(found.text, found.kind);
  if (hasFailed(frame, delivery)) transcript.failReply(delivery.turnId);
  if (frame.type === 'local.turn' && frame.speakers !== undefined) {
    transcript.nameSpeakers(delivery.turnId, frame.speakers);
  }
  if (frame.type === 'local.over') isDropAsked = false;
  if (frame.type === 'local.over' || frame.type === 'local.turn') refreshHistory();
}

/** @param {TraceFrame} frame @param {Delivery} delivery */
function hasFailed(frame, delivery) {
  return (
    delivery.isTurn
    && (frame.type === 'local.over' || frame.type === 'local.turn')
    && frame.outcome === 'failed'
  );
}

/** Over Chat Completions the agent hangs up with a platform tool. @param {unknown} event */
function noticeOfHangUp(event) {
  const hasContent = typeof event === 'object' && event !== null && 'content' in event;
  const tool = hasContent ? eventField(event.content, 'name') : '';
  return tool === '' ? 'The agent hangs up.' : `The agent makes the platform call ${tool}.`;
}

/** Marks what the platform says was heard of the previous reply. @param {unknown} context */
function cutInterrupted(context) {
  if (typeof context !== 'object' || context === null) return;
  const { previous_turn_interrupted: wasInterrupted, text_heard: heard } =
    /** @type {Readonly<Record<string, unknown>>} */ (context);
  if (wasInterrupted !== true) return;
  transcript.cutReply(
    eventField(context, 'assistant_turn_id') || undefined,
    typeof heard === 'string' ? heard : undefined,
  );
}

/** @param {string} text @returns {boolean} whether it was sent */
function sendText(text) {
  if (!send({ type: 'client.response.text', content: text })) return false;
  speaker.stop(); // the caller is speaking over it
  return true;
}

/** The caller begins to speak. Does nothing if the agent is not speaking. */
function interrupt() {
  if (!deliveries.isTurnOpen && !speaker.isSpeaking) return;
  speaker.stop();
  const frame = /** @type {const} */ ({ type: 'trigger.turn.start', role: 'user' });
  session.send(frame); // not sent if the agent has hung up and only the voice is still speaking
  showActivity();
}

/** @param {ClientFrame} frame @returns {boolean} */
function send(frame) {
  const isSent = session.send(frame);
  if (!isSent) showProblem('Not connected: press Reconnect or New conversation.');
  return isSent;
}

/** @param {string} [conversationId] @returns {boolean} false if the page's own fields are wrong */
function connect(conversationId) {
  const caller = readCaller(byId('caller-number', HTMLInputElement), metadata);
  if (caller === undefined) {
    showProblem(`Not connected: ${metadata.validationMessage}`);
    metadata.focus();
    return false;
  }
  speaker.stop();
  endTalk();
  void refreshAgent();
  const agentId = chosenAgent();
  void session.connect(
    { ...caller, ...chosenWire(), ...(agentId === undefined ? {} : { agent_id: agentId }) },
    conversationId,
  );
  return true;
}

/** Returns no fields for LayerCode's wire, which is the default. */
function chosenWire() {
  const { value } = wireChoice;
  const wire = /** @type {const} */ ('chat-completions');
  return value === 'layercode' ? {} : { wire, profile: value };
}

/** Hides what cannot be provoked on the chosen wire. */
function showWire() {
  const isLayercode = wireChoice.value === 'layercode';
  button('forge-wrong').textContent = isLayercode ? 'Bad signature' : 'Bad key';
  for (const item of document.querySelectorAll('li.layercode-only')) {
    if (item instanceof HTMLElement) item.hidden = !isLayercode;
  }
  byId('end-session-note', HTMLElement).textContent = isLayercode
    ? 'Answers session.end with 200 and keeps the history. Reconnect continues it.'
    : 'Nothing is posted at the end of a call on this wire. Reconnect continues it.';
}

/** Undefined if there is only one agent. */
function chosenAgent() {
  return agentChoice.hidden ? undefined : agentChoice.value;
}

async function refreshAgent() {
  agent = await showAgent({
    agent: byId('agent', HTMLElement),
    choice: agentChoice,
    model: byId('model', HTMLElement),
    warnings: byId('warnings', HTMLElement),
  });
}

function beginConversation() {
  if (!connect()) return;
  for (const panel of [transcript, timeline, events, data, history, script]) panel.clear();
  say.focus();
}

/** Saves the talk as a file for `talk --script`. */
function exportScript() {
  if (script.isEmpty) return showProblem('There is no talk to export yet: say something first.');
  const url = URL.createObjectURL(new Blob([script.write(agent)], { type: 'text/plain' }));
  element('a', { href: url, download: SCRIPT_NAME }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // the browser may not have begun to save it
  transcript.addNotice(`Saved as ${SCRIPT_NAME}. To play it: talk --script ${SCRIPT_NAME}`);
}

/**
 * Ends the reply in progress. A complete reply is spoken to its end, because an agent hangs up
 * after its goodbye.
 */
function endTalk() {
  if (transcript.interruptReply()) speaker.stop();
  for (const delivery of deliveries.abandon()) timeline.show(delivery);
  deliveries = new Deliveries();
  isDropAsked = false;
}

function refreshHistory() {
  const { conversationId } = session;
  if (conversationId !== undefined) void history.refresh(conversationId, chosenAgent());
}

/** @param {string} problem */
function showProblem(problem) {
  transcript.addNotice(problem, 'bad');
}

/** @param {string} id @param {number} count */
function showCount(id, count) {
  byId(id, HTMLElement).textContent = count === 0 ? '' : String(count);
}

function showActivity() {
  const isReplying = deliveries.isTurnOpen;
  button('interrupt').hidden = !isReplying && !speaker.isSpeaking;
  if (microphone?.isListening === true) {
    activity.textContent = interim === '' ? 'Listening…' : `Hearing: ${interim}`;
  }
  else if (speaker.isSpeaking) activity.textContent = 'The agent is speaking';
  else activity.textContent = isReplying ? 'The agent is replying' : '';
  button('microphone').setAttribute('aria-pressed', String(microphone?.isListening === true));
  voiceNote.hidden = speaker.hasVoice;
  speakReplies.disabled = !speaker.hasVoice;
}

byId('composer', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  if (say.value.trim() !== '' && sendText(say.value)) say.value = '';
  say.focus();
});
button('interrupt').addEventListener('click', () => {
  interrupt();
  say.focus(); // the button disappears, and the focus with it
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') interrupt();
});
speakReplies.addEventListener('change', () => (speaker.isOn = speakReplies.checked));
button('microphone').hidden = microphone === undefined;
byId('microphone-note', HTMLElement).hidden = microphone !== undefined;
button('microphone').addEventListener('click', () => microphone?.toggle());

button('new-conversation').addEventListener('click', beginConversation);
agentChoice.addEventListener('change', beginConversation);
wireChoice.addEventListener('change', () => {
  showWire();
  beginConversation();
});
button('reconnect').addEventListener('click', () => {
  if (connect(session.conversationId)) say.focus();
});
button('export').addEventListener('click', exportScript);
button('copy').addEventListener('click', async () => {
  const copy = button('copy');
  try {
    await navigator.clipboard.writeText(session.conversationId ?? '');
    copy.textContent = 'Copied';
  } catch {
    // The page is not allowed to copy, but the caller's own keys are.
    getSelection()?.selectAllChildren(conversation);
    copy.textContent = 'Selected';
  }
  setTimeout(() => (copy.textContent = 'Copy'), COPIED_MS);
});

button('redeliver').addEventListener('click', () => {
  if (!deliveries.hasMessage) {
    showProblem('There is no turn to deliver twice: say something first.');
  }
  else send({ type: 'local.redeliver' });
});
button('drop').addEventListener('click', () => {
  if (!deliveries.isTurnOpen) {
    showProblem('There is no reply to drop: say something, and press this during the reply.');
  } else isDropAsked = send({ type: 'local.drop' });
});
button('forge-wrong').addEventListener('click', () =>
  send({ type: 'local.forge', signature: 'wrong' }),
);
button('forge-stale').addEventListener('click', () =>
  send({ type: 'local.forge', signature: 'stale' }),
);
button('end-session').addEventListener('click', () => send({ type: 'local.end' }));

for (const filter of document.querySelectorAll('input[name="filter"]')) {
  filter.addEventListener('change', () => {
    if (filter instanceof HTMLInputElement) events.show(filter.value);
  });
}
button('clear-events').addEventListener('click', () => events.clear());

for (const id of ['transcript', 'events']) stickToEnd(byId(id, HTMLElement));
activateTabs(byId('tabs', HTMLElement));
showActivity();
showWire();
connect();
