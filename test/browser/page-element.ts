// One element of a page. Ruled by https://www.w3.org/TR/webdriver2/#elements

/** Sends one of the session's commands; `about` is what an error is to name besides. */
export type Command = <T>(
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: object,
  about?: string,
) => Promise<T>;

/** The key under which WebDriver hands elements over, https://www.w3.org/TR/webdriver2/#elements */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

export interface ElementReference {
  readonly [ELEMENT]: string;
}

/**
 * An element of the page. When the page replaces it, its methods reject with the code `stale
 * element reference`.
 */
export class PageElement {
  readonly #id: string;
  readonly #description: string;
  readonly #send: Command;

  constructor(reference: ElementReference, description: string, send: Command) {
    this.#id = reference[ELEMENT];
    this.#description = description;
    this.#send = send;
  }

  /** Scrolls there and clicks in its middle; refused where another element covers that. */
  async click(): Promise<void> {
    await this.#command('POST', 'click', {});
  }

  /** Focuses and types behind what is there. */
  async type(text: string): Promise<void> {
    await this.#command('POST', 'value', { text });
  }

  async clear(): Promise<void> {
    await this.#command('POST', 'clear', {});
  }

  /** As it is displayed: without what is hidden, white space collapsed. */
  async text(): Promise<string> {
    return this.#command('GET', 'text');
  }

  /**
   * As it stands in the markup; `'true'` for a boolean attribute that is set, undefined for any
   * that is not.
   */
  async attribute(name: string): Promise<string | undefined> {
    return (
      (await this.#command<string | null>('GET', `attribute/${encodeURIComponent(name)}`)) ??
      undefined
    );
  }

  /** As it is now, for instance a field's `value`. */
  async property<T = unknown>(name: string): Promise<T> {
    return this.#command('GET', `property/${encodeURIComponent(name)}`);
  }

  /** The computed value of a CSS property. */
  async style(name: string): Promise<string> {
    return this.#command('GET', `css/${encodeURIComponent(name)}`);
  }

  async isDisplayed(): Promise<boolean> {
    return this.#command('GET', 'displayed');
  }

  async isEnabled(): Promise<boolean> {
    return this.#command('GET', 'enabled');
  }

  /** The role that assistive technology is told: `button`, `textbox`, `status`, … */
  async role(): Promise<string> {
    return this.#command('GET', 'computedrole');
  }

  /** The name that goes with it. */
  async label(): Promise<string> {
    return this.#command('GET', 'computedlabel');
  }

  /** Makes it an argument of `run`. */
  toJSON(): ElementReference {
    return { [ELEMENT]: this.#id };
  }

  #command<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T> {
    return this.#send(method, `/element/${this.#id}/${path}`, body, this.#description);
  }
}
