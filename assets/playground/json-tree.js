// Shows a JSON value as nested disclosures, which keyboards and screen readers support:
// https://html.spec.whatwg.org/multipage/interactive-elements.html#the-details-element

import { cutText } from './cut-text.js';
import { element } from './element.js';

/** The longest string shown, in UTF-16 code units. */
const MAX_STRING_LENGTH = 500;
/** The maximum number of entries shown of one array or object. */
const MAX_ENTRIES = 100;
const MAX_PREVIEW_LENGTH = 60;

/**
 * @param {unknown} value parsed JSON
 * @param {{ readonly name?: string, readonly isOpen?: boolean }} [options] `name`: its key
 * @returns {HTMLElement}
 */
export function jsonTree(value, { name, isOpen = false } = {}) {
  const label =
    name === undefined
      ? []
      : [element('span', { class: 'json-name' }, cutText(name, MAX_PREVIEW_LENGTH)), ': '];
  if (typeof value !== 'object' || value === null) {
    return element('div', { class: 'json-leaf' }, ...label, leaf(value));
  }
  const entries = Object.entries(value);
  if (entries.length === 0) {
    return element('div', { class: 'json-leaf' }, ...label, Array.isArray(value) ? '[]' : '{}');
  }
  const tree = element(
    'details',
    { class: 'json' },
    element('summary', {}, ...label, element('span', { class: 'json-preview' }, preview(value))),
  );
  // Created when it is first opened: a value may be deep, and most values are never opened.
  tree.addEventListener('toggle', () => tree.append(branches(entries)), { once: true });
  tree.open = isOpen;
  return tree;
}

/** @param {[string, unknown][]} entries */
function branches(entries) {
  const list = element('div', { class: 'json-entries' });
  for (const [name, value] of entries.slice(0, MAX_ENTRIES)) list.append(jsonTree(value, { name }));
  if (entries.length > MAX_ENTRIES) {
    list.append(
      element('div', { class: 'json-leaf muted' }, `… ${entries.length - MAX_ENTRIES} more`),
    );
  }
  return list;
}

/** @param {unknown} value a string, number, boolean or null */
function leaf(value) {
  const text =
    typeof value === 'string' ? JSON.stringify(cutText(value, MAX_STRING_LENGTH)) : String(value);
  return element('span', { class: `json-${value === null ? 'null' : typeof value}` }, text);
}

/** @param {object} value */
function preview(value) {
  if (Array.isArray(value)) return `[${value.length}]`;
  return cutPreview(`{ ${Object.keys(value).slice(0, MAX_ENTRIES).join(', ')} }`);
}

/** @param {string} text */
function cutPreview(text) {
  return text.length > MAX_PREVIEW_LENGTH ? `${text.slice(0, MAX_PREVIEW_LENGTH)}… }` : text;
}
