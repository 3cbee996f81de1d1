// How well texts stand out from what is behind them. Ruled by https://www.w3.org/TR/WCAG22/#contrast-minimum

import type { Browser } from './webdriver.ts';

export interface Contrast {
  /** The beginning of the text, and the element it is in. */
  readonly text: string;
  /** 1–21. */
  readonly ratio: number;
  /** Which of the selectors asked for find the element, or one that it is in. */
  readonly of: readonly string[];
}

/** The body of a function of CSS selectors. */
const MEASURE = `
  const [selectors] = arguments;
  const parse = (color) => {
    const [red, green, blue, alpha = 1] = /^rgba?\\((.+)\\)$/.exec(color)?.[1].split(/[ ,/]+/).map(Number) ?? [];
    if (blue === undefined) throw new Error('not a color of red, green and blue: ' + color);
    return { channels: [red, green, blue], alpha };
  };
  const over = ({ channels, alpha }, back) =>
    ({ channels: channels.map((value, index) => value * alpha + back.channels[index] * (1 - alpha)), alpha: 1 });
  const fromTheRoot = (element) => (element === null ? [] : [...fromTheRoot(element.parentElement), element]);
  const behind = (element) =>
    fromTheRoot(element).reduce((back, each) => over(parse(getComputedStyle(each).backgroundColor), back), parse('rgb(255, 255, 255)'));
  const luminance = ({ channels }) => {
    const [red, green, blue] = channels.map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const measure = (element, color, text) => {
    const back = behind(element);
    const [dark, light] = [luminance(over(parse(color), back)), luminance(back)].sort((a, b) => a - b);
    const name = [element.tagName.toLowerCase(), element.id && '#' + element.id, ...[...element.classList].map((each) => '.' + each)].join('');
    return {
      text: JSON.stringify(text.trim().slice(0, 40)) + ' in ' + name,
      ratio: (light + 0.05) / (dark + 0.05),
      of: selectors.filter((selector) => element.closest(selector) !== null),
    };
  };
  const contrasts = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === '' || element.closest('.sr-only') !== null || !element.checkVisibility()) continue;
    const { color, fill } = getComputedStyle(element);
    contrasts.push(measure(element, element instanceof SVGElement ? fill : color, node.data));
  }
  for (const field of document.querySelectorAll('input[placeholder]')) {
    contrasts.push(measure(field, getComputedStyle(field, '::placeholder').color, field.placeholder));
  }
  return contrasts;
`;

/** Of every text that the page displays now, placeholders among them. */
export async function contrastsOf(
  browser: Browser,
  selectors: readonly string[] = [],
): Promise<Contrast[]> {
  return browser.run<Contrast[]>(MEASURE, selectors);
}
