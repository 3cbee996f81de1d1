import { cutText } from './cut-text.js';
import { element, svgElement } from './element.js';

/** @import { Delivery } from './deliveries.js' */

/** Only the newest turns are shown. */
const MAX_TURNS = 12;
const MAX_LABEL_LENGTH = 80;

/** Possible ends of the scale: these, times a power of ten. */
const STEPS = [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10];

/** @typedef {{ readonly name: string, readonly fromMs: number, readonly toMs: number }} ToolSpan */

/**
 * The course of a turn, in milliseconds since its request.
 *
 * @typedef {object} Course
 * @property {number | undefined} firstTokenMs
 * @property {number | undefined} firstSpeechMs
 * @property {number} durationMs so far, if it is still running
 * @property {string} outcome
 * @property {readonly ToolSpan[]} tools
 * @property {boolean} isMeasuredHere measured here, because the server sent no figures
 */

/**
 * Shows the last turns as a table with a picture in each row, all on one scale.
 *
 * @param {HTMLElement} body
 * @param {Element} axis the place for the scale
 */
export function createTimeline(body, axis) {
  /** @type {Map<Delivery, HTMLTableRowElement>} Oldest first. */
  const rows = new Map();
  let count = 0;
  let scale = 0;

  /** @param {Delivery} delivery */
  function addRow(delivery) {
    const what =
      delivery.eventType === 'session.start'
        ? 'start of the session'
        : cutText(delivery.text, MAX_LABEL_LENGTH);
    const label = delivery.isRepeat ? `again: ${what}` : what;
    const number = element('span', { class: 'turn-number' }, `${++count} `);
    const row = element(
      'tr',
      { 'data-turn-id': delivery.turnId },
      element('th', { scope: 'row', title: label }, number, label),
    );
    rows.set(delivery, row);
    body.append(row);
    const [oldest] = rows;
    if (rows.size <= MAX_TURNS || oldest === undefined) return;
    rows.delete(oldest[0]);
    oldest[1].remove();
  }

  return {
    clear() {
      rows.clear();
      body.replaceChildren();
      axis.replaceChildren();
      count = 0;
    },

    /** Draws what is known about a turn. @param {Delivery} delivery */
    show(delivery) {
      if (!rows.has(delivery)) addRow(delivery);
      const courses = [...rows].map(([shown, row]) => ({ row, course: courseOf(shown) }));
      const top = topOf(Math.max(...courses.map(({ course }) => course.durationMs)));
      for (const { row, course } of courses) {
        if (top !== scale || row === rows.get(delivery)) fillRow(row, course, top);
      }
      scale = top;
      axis.replaceChildren(
        tick('0%', 'start', '0'),
        tick('50%', 'middle', String(top / 2)),
        tick('100%', 'end', `${top} ms`),
      );
    },
  };
}

/** @param {string} x @param {string} anchor @param {string} text */
function tick(x, anchor, text) {
  return svgElement('text', { x, y: 11, 'text-anchor': anchor }, text);
}

/** @param {Delivery} delivery @returns {Course} */
function courseOf({ figures, requestedAt, firstSpeechAt, tools: runs, lastAt, over }) {
  const tools = runs.map(({ name, startedAt, endedAt = lastAt }) => ({
    name,
    fromMs: startedAt - requestedAt,
    toMs: endedAt - requestedAt,
  }));
  if (figures !== undefined) {
    const { firstSpeechMs, durationMs, outcome, usage } = figures;
    const firstTokenMs = usage?.[0]?.firstDeltaMs;
    return { firstTokenMs, firstSpeechMs, durationMs, outcome, tools, isMeasuredHere: false };
  }
  return {
    tools,
    firstTokenMs: undefined,
    firstSpeechMs: firstSpeechAt === undefined ? undefined : firstSpeechAt - requestedAt,
    durationMs: lastAt - requestedAt,
    outcome:
      over === undefined
        ? 'running'
        : { ended: 'completed', dropped: 'interrupted', failed: 'failed' }[over],
    isMeasuredHere: true,
  };
}

/** @param {number} longestMs */
function topOf(longestMs) {
  const decade = 10 ** Math.floor(Math.log10(Math.max(longestMs, 1)));
  return decade * (STEPS.find((step) => step * decade >= longestMs) ?? 10);
}

/**
 * @param {HTMLTableRowElement} row
 * @param {Course} course
 * @param {number} top
 */
function fillRow(row, course, top) {
  const { firstTokenMs, firstSpeechMs, durationMs, tools, outcome, isMeasuredHere } = course;
  row.dataset['outcome'] = outcome;
  while (row.cells.length > 1) row.deleteCell(1);
  const about = isMeasuredHere ? '≈' : '';
  const calls = tools.map(({ name, fromMs, toMs }) => `${name} ${milliseconds(toMs - fromMs)} ms`);
  const note = calls.length === 0 ? undefined : `tools: ${calls.join(', ')}`;
  row.append(
    element(
      'td',
      { class: 'picture', title: note },
      picture(course, top),
      ...(note === undefined ? [] : [element('span', { class: 'sr-only' }, note)]),
    ),
    ...[firstTokenMs, firstSpeechMs, durationMs].map((ms) =>
      element('td', { class: 'ms' }, ms === undefined ? '–' : about + milliseconds(ms)),
    ),
    element('td', { class: 'outcome' }, outcome),
  );
}

/**
 * Hidden from screen readers, because the figures next to it say the same.
 *
 * @param {Course} course
 * @param {number} top
 */
function picture({ firstTokenMs, firstSpeechMs, durationMs, tools }, top) {
  const token = Math.min(firstTokenMs ?? firstSpeechMs ?? durationMs, durationMs);
  const speech = Math.max(token, Math.min(firstSpeechMs ?? durationMs, durationMs));
  /** @param {string} name @param {number} from @param {number} to */
  const bar = (name, from, to) =>
    svgElement('rect', {
      class: name,
      x: percent(from / top),
      width: percent((to - from) / top),
      y: name === 'tool' ? 14 : 5,
      height: name === 'tool' ? 3 : 8,
      rx: 1,
    });
  /** @param {string} name @param {number} at */
  const line = (name, at) =>
    svgElement('rect', {
      class: name,
      x: percent(at / top),
      width: 2,
      y: 2,
      height: 14,
      transform: 'translate(-1)',
    });
  return svgElement(
    'svg',
    { 'aria-hidden': 'true', width: '100%', height: 18 },
    ...[0, 0.25, 0.5, 0.75].map((part) => line('grid', part * top)),
    bar('waiting', 0, token),
    bar('thinking', token, speech),
    bar('speaking', speech, durationMs),
    ...tools.map(({ fromMs, toMs }) =>
      bar('tool', Math.min(fromMs, durationMs), Math.min(toMs, durationMs)),
    ),
    ...(firstTokenMs === undefined ? [] : [line('first-token', token)]),
    ...(firstSpeechMs === undefined ? [] : [line('first-speech', speech)]),
    line('end', durationMs));
}

/** @param {number} part of 1 */
function percent(part) {
  return `${Math.round(part * 10_000) / 100}%`;
}

/** @param {number} ms */
function milliseconds(ms) {
  return ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en');
}
