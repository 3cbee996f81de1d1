/**
 * Keeps the end of a growing list in view until the reader scrolls away, even through resizing.
 *
 * @param {HTMLElement} list
 */
export function stickToEnd(list) {
  let isAtEnd = true;
  /** The size of the list when it was last checked. A resize scrolls it too, without the reader. */
  let size = '';
  const currentSize = () => `${list.clientWidth}x${list.clientHeight}`;

  function follow() {
    size = currentSize();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }

  list.addEventListener('scroll', () => {
    if (size === currentSize()) {
      isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    }
  });
  new ResizeObserver(follow).observe(list);
  new MutationObserver(follow).observe(list, {
    childList: true,
    subtree: true,
    characterData: true,
    attributeFilter: ['data-filter'],
  });
}
