/**
 * Keeps the end of a growing list in sight, also where the list itself changes its size, until its reader scrolls away from it.
 *
 * @param {HTMLElement} list
 */
export function stickToEnd(list) {
  let isAtEnd = true;
  /** Of the list when it was last looked at: a new size moves its content too, and no reader did. */
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
