import { element } from './element.js';
import { jsonTree } from './json-tree.js';

/** @import { Json } from '../../src/base/json.ts' */

const MAX_PAYLOADS = 50;

/**
 * Lists the data the agent sent for the screen, newest first.
 *
 * @param {HTMLElement} list
 * @param {(count: number) => void} onCount called with the number of payloads sent
 */
export function createDataPanel(list, onCount) {
  let count = 0;
  return {
    clear() {
      list.replaceChildren();
      onCount((count = 0));
    },

    /** @param {string} turnId @param {Json} content */
    add(turnId, content) {
      onCount(++count);
      list.prepend(
        element(
          'li',
          { 'data-turn-id': turnId },
          jsonTree(content, { name: `data ${count}`, isOpen: true }),
        ),
      );
      if (list.childElementCount > MAX_PAYLOADS) list.lastElementChild?.remove();
    },
  };
}
