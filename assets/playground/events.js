import { cutText } from './cut-text.js';
import { element } from './element.js';
import { eventField } from './deliveries.js';
import { jsonTree } from './json-tree.js';

/** @import { Json } from '../../src/layercode/fields.ts' */
/** @import { TraceFrame } from '../../src/platform/frames.ts' */
/** @import { Delivery } from './deliveries.js' */

const MAX_FRAMES = 500;
const MAX_PREVIEW_LENGTH = 120;

/**
 * What a row shows of a frame.
 *
 * @typedef {object} Line
 * @property {string} arrow
 * @property {string} direction the arrow in words
 * @property {string} what
 * @property {string} preview
 * @property {Json} json
 * @property {boolean} [isError]
 */

/**
 * The trace, frame by frame, oldest first.
 *
 * @param {HTMLElement} list
 * @param {(count: number) => void} onCount
 */
export function createEvents(list, onCount) {
  let currentTurnId = '';

  /** @param {string} turnId */
  function beginTurn(turnId) {
    currentTurnId = turnId;
    for (const row of list.querySelectorAll('[data-of-turn]')) row.removeAttribute('data-of-turn');
  }

  // One stop of the Tab key for all rows: there are hundreds.
  list.addEventListener('keydown', (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const rows = [...list.querySelectorAll('summary.frame')].filter((row) => row.checkVisibility());
    const index = event.target === list ? rows.length : rows.findIndex((row) => row === event.target);
    const next = step === undefined || index === -1 ? undefined : rows[index === rows.length ? rows.length - 1 : index + step];
    if (!(next instanceof HTMLElement)) return;
    event.preventDefault();
    next.focus();
  });

  return {
    clear() {
      list.replaceChildren();
      onCount(0);
    },

    /** @param {string} filter all, turn or errors: the style sheet hides what it leaves out */
    show(filter) {
      list.dataset['filter'] = filter;
    },

    /** @param {TraceFrame} frame @param {Delivery | undefined} delivery of which it tells */
    add(frame, delivery) {
      const turnId = delivery?.turnId ?? '';
      if (frame.type === 'local.request' && turnId !== currentTurnId) beginTurn(turnId);
      const { arrow, direction, what, preview, json, isError = false } = describe(frame);
      const number = delivery?.number;
      const row = element('details', {}, element('summary', { class: 'frame', tabindex: -1 },
        element('span', { class: 'frame-delivery' }, number === undefined ? '' : `#${number}`),
        element('span', { class: 'frame-at' }, 'at' in frame ? String(Math.round(frame.at)) : ''),
        element('span', { class: 'frame-arrow', role: 'img', 'aria-label': direction, title: direction }, arrow),
        element('span', { class: 'frame-what' }, what),
        element('span', { class: 'frame-preview' }, cutText(preview, MAX_PREVIEW_LENGTH)),
      ));
      row.addEventListener('toggle', () => row.append(jsonTree(json, { isOpen: true })), { once: true });
      list.append(element('li', {
        'data-type': frame.type,
        'data-delivery': number,
        'data-turn-id': turnId,
        'data-of-turn': turnId !== '' && turnId === currentTurnId ? '' : undefined,
        'data-error': isError ? '' : undefined,
      }, row));
      if (list.childElementCount > MAX_FRAMES) list.firstElementChild?.remove();
      onCount(list.childElementCount);
    },
  };
}

/** @param {TraceFrame} frame @returns {Line} */
function describe(frame) {
  switch (frame.type) {
    case 'local.request': {
      const forged = frame.signature === 'right' ? '' : `${frame.signature} signature `;
      const what = eventField(frame.event, 'type');
      return { arrow: '→', direction: 'to the agent', what, preview: forged + eventField(frame.event, 'text'), json: frame.event };
    }
    case 'local.answer':
      return {
        arrow: '←', direction: 'from the agent', what: `HTTP ${frame.status}`, json: { ...frame },
        preview: '', isError: frame.status >= 400,
      };
    case 'local.event': {
      const type = eventField(frame.event, 'type');
      const content = typeof frame.event === 'object' && frame.event !== null && 'content' in frame.event ? frame.event.content : '';
      return {
        arrow: '←', direction: 'from the agent', what: type || 'JSON', json: frame.event,
        preview: typeof content === 'string' && type !== '' ? content : JSON.stringify(type === '' ? frame.event : content),
        isError: eventField(frame.event, 'error') !== '',
      };
    }
    case 'local.over':
      return {
        arrow: '■', direction: 'the delivery is over', what: frame.outcome, json: { ...frame },
        preview: frame.reason ?? '', isError: frame.outcome === 'failed',
      };
    case 'local.turn':
      return {
        arrow: '∑', direction: 'the server\'s figures', what: `turn ${frame.outcome}`, json: { ...frame },
        preview: `${frame.durationMs} ms`, isError: frame.outcome === 'failed',
      };
  }
}
