// How well texts stand out from what is behind them. Ruled by https://www.w3.org/TR/WCAG22/#contrast-minimum

import type { Browser } from './webdriver.ts';

export interface Contrast {
  /** The element, roughly as a selector, and the beginning of its text. */
  readonly where: string;
  /** 1–21. */
  readonly ratio: number;
}

/** The body of a function of CSS selectors: measures what is displayed of the elements they find, and of those inside. */
const MEASURE = `
  const [selectors] = arguments;
  const parse = (color) => {
    const [red, green, blue, alpha = 1] = /^rgba?\\((.+)\\)$/.exec(color)?.[1].split(/[ ,/]+/).map(Number) ?? [];
    if (blue === undefined) throw new Error('no rgb color: ' + color);
    return { channels: [red, green, blue], alpha };
  };
  const over = (front, back) => ({
    channels: front.channels.map((value, index) => value * front.alpha + back.channels[index] * (1 - front.alpha)), alpha: 1,
  });
  const ancestors = (element) => (element === null ? [] : [element, ...ancestors(element.parentElement)]);
  const backgroundOf = (element) => ancestors(element).reverse()
    .reduce((behind, { style, ...rest }, index, all) => over(parse(getComputedStyle(ancestors(element).reverse()[index]).backgroundColor), behind), parse('rgb(255, 255, 255)'));
  const luminance = ({ channels }) => {
    const [red, green, blue] = channels.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  return true;
`;

void MEASURE;
