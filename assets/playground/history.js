import { cutText } from './cut-text.js';
import { element } from './element.js';
import { jsonTree } from './json-tree.js';

/** @typedef {{ readonly id: string, readonly name: string, readonly args: string }} ToolCall */
/**
 * @typedef {object} Message
 * @property {string} role
 * @property {string} content
 * @property {readonly ToolCall[]} [toolCalls]
 * @property {string} [toolCallId]
 */

/**
 * What a model was sent, and what it answered.
 *
 * @typedef {object} Exchange
 * @property {string} turnId
 * @property {{ readonly model?: unknown }} sent
 * @property {unknown} answered
 */
/**
 * @typedef {object} Conversation
 * @property {readonly Message[]} messages
 * @property {readonly Exchange[]} [requests]
 */

const MAX_MESSAGES = 200;
const MAX_TEXT_LENGTH = 4_000;

/**
 * Shows the stored conversation as the model will read it.
 *
 * @param {HTMLElement} list
 * @param {(count: number) => void} onCount
 * @param {(problem: string) => void} onProblem
 */
export function createHistory(list, onCount, onProblem) {
  /** @type {string | undefined} The path of what to load next; undefined for nothing. */
  let wanted;
  let isLoading = false;

  /** @param {Conversation} conversation */
  function show({ messages, requests = [] }) {
    const left = messages.length - MAX_MESSAGES;
    const note =
      left > 0 ? [element('li', { class: 'muted' }, `${left} older messages are not shown.`)] : [];
    const shown = messages.slice(-MAX_MESSAGES).map(entry);
    list.replaceChildren(...note, ...shown, ...requests.map(exchange));
    onCount(messages.length);
  }

  return {
    clear() {
      wanted = undefined;
      show({ messages: [] });
    },

    /**
     * Loads the history again. Calls during a load lead to one more load.
     *
     * @param {string} conversationId
     * @param {string} [agentId] whose conversation it is, if there are several agents
     */
    async refresh(conversationId, agentId) {
      const query = agentId === undefined ? '' : `?${new URLSearchParams({ agent_id: agentId })}`;
      wanted = `/playground/history/${encodeURIComponent(conversationId)}${query}`;
      if (isLoading) return;
      isLoading = true;
      while (wanted !== undefined) {
        const asked = wanted;
        wanted = undefined;
        try {
          const conversation = await loadHistory(asked);
          if (wanted === undefined || wanted === asked) show(conversation);
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          onProblem(`The history cannot be shown: ${reason}`);
        }
      }
      isLoading = false;
    },
  };
}

/** @param {string} path @returns {Promise<Conversation>} */
async function loadHistory(path) {
  const response = await fetch(path);
  const answer = await response.json().catch(() => undefined); // then the status is shown
  if (!response.ok || !Array.isArray(answer?.messages)) {
    throw new Error(`${response.status} ${answer?.error ?? response.statusText}`);
  }
  return answer;
}

/** @param {Message} message */
function entry({ role, content, toolCalls = [], toolCallId }) {
  const body = element('div');
  if (toolCallId !== undefined) body.append(tree(`result of ${toolCallId}`, content));
  else if (content !== '') {
    body.append(element('p', { 'data-text': '' }, ...marked(cutText(content, MAX_TEXT_LENGTH))));
  }
  for (const { id, name, args } of toolCalls) body.append(tree(`calls ${name} (${id})`, args));
  return element('li', { 'data-role': role }, element('span', { class: 'speaker' }, role), body);
}

/** @param {Exchange} exchange */
function exchange({ turnId, sent, answered }) {
  const name = `request to ${sent.model} in ${turnId}`;
  const body = element('div', { class: 'tool' }, jsonTree({ sent, answered }, { name }));
  const speaker = element('span', { class: 'speaker' }, 'model');
  return element('li', { 'data-request': '' }, speaker, body);
}

/** What a model or a tool wrote, as a tree if it is JSON. @param {string} name @param {string} text */
function tree(name, text) {
  let value = text;
  try {
    value = JSON.parse(text);
  } catch {
    // shown as plain text
  }
  return element('div', { class: 'tool' }, jsonTree(value, { name }));
}

/** @param {string} text */
function marked(text) {
  return text
    .split(/(\[interrupted\])/)
    .map((part) => (part === '[interrupted]' ? element('mark', {}, part) : part));
}
