// Tabs that show their panel when focused: https://www.w3.org/WAI/ARIA/apg/patterns/tabs/

const STEPS = /** @type {Readonly<Record<string, (index: number, last: number) => number>>} */ ({
  ArrowLeft: (index, last) => (index === 0 ? last : index - 1),
  ArrowRight: (index, last) => (index === last ? 0 : index + 1),
  Home: () => 0,
  End: (_index, last) => last,
});

/**
 * Activates a `tablist` whose tabs name their panels with `aria-controls`.
 *
 * @param {HTMLElement} list
 */
export function activateTabs(list) {
  const tabs = /** @type {HTMLElement[]} */ ([...list.querySelectorAll('[role="tab"]')]);

  /** @param {HTMLElement} chosen */
  function choose(chosen) {
    for (const tab of tabs) {
      const isChosen = tab === chosen;
      tab.setAttribute('aria-selected', String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      const panel = document.getElementById(tab.getAttribute('aria-controls') ?? '');
      if (panel !== null) panel.hidden = !isChosen;
    }
  }

  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener('click', () => choose(tab));
    tab.addEventListener('keydown', (event) => {
      const next = tabs[STEPS[event.key]?.(index, tabs.length - 1) ?? -1];
      if (next === undefined) return;
      event.preventDefault();
      choose(next);
      next.focus();
    });
  }
}
