import { cutText } from './cut-text.js';
import { element } from './element.js';
import { eventField, isWords, requestOf } from './deliveries.js';
import { jsonTree } from './json-tree.js';
import { tokenUsage } from './token-usage.js';

/** @import { TraceFrame } from '../../src/kit/platform/frames.ts' */
/** @import { Delivery } from './deliveries.js' */

const MAX_FRAMES = 500;
const MAX_PREVIEW_LENGTH = 120;

/**
 * What a row shows about a frame.
 *
 * @typedef {object} Line
 * @property {string} arrow
 * @property {string} direction the arrow in words
 * @property {string} what
 * @property {string} preview
 * @property {unknown} json what the opened row shows
 * @property {boolean} [isError]
 */

/**
 * A row stands for one frame, or for consecutive frames with the words of one reply.
 *
 * @typedef {object} Row
 * @property {HTMLElement} item
 * @property {HTMLDetailsElement} details
 * @property {HTMLElement} what
 * @property {HTMLElement} preview
 * @property {number | undefined} delivery
 * @property {string} text the preview before it is cut
 * @property {unknown[]} frames
 */

/**
 * Lists the trace, oldest first.
 *
 * @param {HTMLElement} list
 * @param {(count: number) => void} onCount
 */
export function createEvents(list, onCount) {
  let currentTurnId = '';
  /** @type {Row | undefined} The last row, if it holds words. */
  let words;

  /** @param {string} turnId */
  function beginTurn(turnId) {
    currentTurnId = turnId;
    for (const row of list.querySelectorAll('[data-of-turn]')) row.removeAttribute('data-of-turn');
  }

  // All rows together are one Tab stop, because there are hundreds.
  list.addEventListener('keydown', (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const rows = [...list.querySelectorAll('summary.frame')].filter((row) => row.checkVisibility());
    const index =
      event.target === list ? rows.length : rows.findIndex((row) => row === event.target);
    const next =
      step === undefined || index === -1
        ? undefined
        : rows[index === rows.length ? rows.length - 1 : index + step];
    if (!(next instanceof HTMLElement)) return;
    event.preventDefault();
    next.focus();
  });

  /** @param {TraceFrame} frame @param {Delivery | undefined} delivery */
  function addRow(frame, delivery) {
    const turnId = delivery?.turnId ?? '';
    if (frame.type === 'local.request' && turnId !== currentTurnId) beginTurn(turnId);
    const { arrow, direction, what, preview, json, isError = false } = describe(frame);
    const number = delivery?.number;
    /** @type {Row} */
    const row = {
      item: element('li', {
        'data-type': frame.type,
        'data-delivery': number,
        'data-turn-id': turnId,
        'data-of-turn': turnId !== '' && turnId === currentTurnId ? '' : undefined,
        'data-error': isError ? '' : undefined,
      }),
      details: element('details'),
      what: element('span', { class: 'frame-what' }, what),
      preview: element('span', { class: 'frame-preview' }, cutText(preview, MAX_PREVIEW_LENGTH)),
      delivery: number,
      text: preview,
      frames: [json],
    };
    row.details.append(
      element(
        'summary',
        { class: 'frame', tabindex: -1 },
        element('span', { class: 'frame-delivery' }, number === undefined ? '' : `#${number}`),
        element('span', { class: 'frame-at' }, 'at' in frame ? String(Math.round(frame.at)) : ''),
        element(
          'span',
          { class: 'frame-arrow', role: 'img', 'aria-label': direction, title: direction },
          arrow,
        ),
        row.what,
        row.preview,
      ),
    );
    row.details.addEventListener('toggle', () => showJson(row));
    row.item.append(row.details);
    list.append(row.item);
    if (list.childElementCount > MAX_FRAMES) list.firstElementChild?.remove();
    onCount(list.childElementCount);
    return row;
  }

  return {
    clear() {
      list.replaceChildren();
      words = undefined;
      onCount(0);
    },

    /** @param {string} filter all, turn or errors; the style sheet hides the rest */
    show(filter) {
      list.dataset['filter'] = filter;
    },

    /** @param {TraceFrame} frame @param {Delivery | undefined} delivery the one it belongs to */
    add(frame, delivery) {
      const hasWords =
        frame.type === 'local.event' && isWords(eventField(frame.event, 'type'));
      if (hasWords && words !== undefined && words.delivery === delivery?.number) {
        return addWords(words, frame.event);
      }
      const row = addRow(frame, delivery);
      words = hasWords ? row : undefined;
    },
  };
}

/** @param {Row} row @param {unknown} event */
function addWords(row, event) {
  row.frames.push(event);
  row.text += eventField(event, 'content');
  row.what.textContent = `${eventField(event, 'type')} × ${row.frames.length}`;
  row.preview.textContent = cutText(row.text, MAX_PREVIEW_LENGTH);
  showJson(row);
}

/** Created when the row is opened: most rows never are. @param {Row} row */
function showJson({ details, frames }) {
  const json = frames.length === 1 ? frames[0] : frames;
  if (details.lastElementChild?.matches('summary') === false) details.lastElementChild.remove();
  if (details.open && json !== undefined) details.append(jsonTree(json, { isOpen: true }));
}

/** @param {TraceFrame} frame @returns {Line} */
function describe(frame) {
  switch (frame.type) {
    case 'local.request': {
      const { wire, type, text } = requestOf(frame.event);
      const proof = wire === 'layercode' ? 'signature' : 'key';
      const forged = frame.signature === 'right' ? '' : `${frame.signature} ${proof} `;
      return {
        arrow: '→',
        direction: 'to the agent',
        what: wire === 'layercode' ? type : 'chat/completions',
        preview: forged + text,
        json: frame.event,
      };
    }
    case 'local.answer':
      return {
        arrow: '←', direction: 'from the agent', what: `HTTP ${frame.status}`, json: frame,
        preview: '', isError: frame.status >= 400,
      };
    case 'local.event': {
      const type = eventField(frame.event, 'type');
      const content =
        typeof frame.event === 'object' && frame.event !== null && 'content' in frame.event
          ? frame.event.content
          : '';
      return {
        arrow: '←',
        direction: 'from the agent',
        what: type || 'JSON',
        json: frame.event,
        preview:
          typeof content === 'string' && type !== ''
            ? content
            : JSON.stringify(type === '' ? frame.event : content),
        isError: eventField(frame.event, 'error') !== '',
      };
    }
    case 'local.over':
      return {
        arrow: '■', direction: 'the delivery is over', what: frame.outcome, json: frame,
        preview: frame.reason ?? '', isError: frame.outcome === 'failed',
      };
    case 'local.turn':
      return {
        arrow: '∑',
        direction: 'the server\'s figures',
        what: `turn ${frame.outcome}`,
        json: frame,
        preview: `${frame.durationMs} ms${tokenUsage(frame.usage)}`,
        isError: frame.outcome === 'failed',
      };
  }
}
