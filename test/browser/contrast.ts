// How well texts stand out from their background, as defined by
// https://www.w3.org/TR/WCAG22/#contrast-minimum

export interface Contrast {
  /** The beginning of the text, and the element it is in. */
  readonly text: string;
  /** 1–21. */
  readonly ratio: number;
  /** Those of the given selectors that match the element, or one that it is in. */
  readonly of: readonly string[];
}

interface Color {
  readonly channels: readonly number[];
  readonly alpha: number;
}

/** The contrasts of all text that is displayed now, including placeholders. Runs in the page. */
export function readContrasts(selectors: readonly string[]): Contrast[] {
  const parse = (color: string): Color => {
    const [red, green, blue, alpha = 1] =
      /^rgba?\((.+)\)$/.exec(color)?.[1]?.split(/[ ,/]+/).map(Number) ?? [];
    if (red === undefined || green === undefined || blue === undefined) {
      throw new Error(`not a color of red, green and blue: ${color}`);
    }
    return { channels: [red, green, blue], alpha };
  };
  const over = ({ channels, alpha }: Color, back: Color): Color => ({
    channels: channels.map(
      (value, index) => value * alpha + (back.channels[index] ?? 0) * (1 - alpha),
    ),
    alpha: 1,
  });
  const fromTheRoot = (element: Element | null): Element[] =>
    element === null ? [] : [...fromTheRoot(element.parentElement), element];
  const behind = (element: Element): Color =>
    fromTheRoot(element).reduce(
      (back, each) => over(parse(getComputedStyle(each).backgroundColor), back),
      parse('rgb(255, 255, 255)'),
    );
  const luminance = ({ channels }: Color): number => {
    const [red = 0, green = 0, blue = 0] = channels
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const measure = (element: Element, color: string, text: string): Contrast => {
    const back = behind(element);
    const both = [luminance(over(parse(color), back)), luminance(back)];
    const name = [
      element.tagName.toLowerCase(), element.id && `#${element.id}`,
      ...[...element.classList].map((each) => `.${each}`),
    ].join('');
    return {
      text: `${JSON.stringify(text.trim().slice(0, 40))} in ${name}`,
      ratio: (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05),
      of: selectors.filter((selector) => element.closest(selector) !== null),
    };
  };
  const contrasts: Contrast[] = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement: element } = texts.currentNode as Text;
    if (data.trim() === '' || element === null || element.closest('.sr-only') !== null) continue;
    if (!element.checkVisibility()) continue;
    const { color, fill } = getComputedStyle(element);
    contrasts.push(measure(element, element instanceof SVGElement ? fill : color, data));
  }
  for (const field of document.querySelectorAll<HTMLInputElement>('input[placeholder]')) {
    const { color } = getComputedStyle(field, '::placeholder');
    contrasts.push(measure(field, color, field.placeholder));
  }
  return contrasts;
}
