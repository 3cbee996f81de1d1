// A voice and an ear for a headless browser, which has the interfaces and nobody behind them. They do what the test says, when it says it.
// Ruled by https://webaudio.github.io/web-speech-api/

import type { Browser } from './webdriver.ts';

/**
 * Put in place of the methods that the page finds on the browser's own objects, which it holds on
 * to from its start.
 */
const SCRIPT = `
  const fake = globalThis.fakeVoice = { spoken: [], waiting: [], sent: [], ear: undefined };
  Object.assign(speechSynthesis, {
    getVoices: () => [{ name: 'Test' }],
    speak(utterance) {
      fake.spoken.push(utterance.text);
      fake.waiting.push(utterance);
    },
    // An utterance that is taken out of the queue ends with an error, a little later.
    cancel() {
      for (const utterance of fake.waiting.splice(0)) setTimeout(() => utterance.dispatchEvent(new Event('error')));
    },
  });
  speechSynthesis.dispatchEvent(new Event('voiceschanged'));
  SpeechRecognition.prototype.start = function () {
    fake.ear = this;
  };
  SpeechRecognition.prototype.stop = function () {
    this.dispatchEvent(new Event('end'));
  };
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    fake.sent.push(JSON.parse(data));
    send.call(this, data);
  };
`;

export class FakeVoice {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** Into the page as it is now, until it is left. */
  static async install(browser: Browser): Promise<FakeVoice> {
    await browser.run(SCRIPT);
    return new FakeVoice(browser);
  }

  /** All that the page gave the voice to speak. */
  async spoken(): Promise<string[]> {
    return this.#browser.run('return fakeVoice.spoken');
  }

  /** What of it is not spoken yet; empty where the page fell silent. */
  async unspoken(): Promise<string[]> {
    return this.#browser.run('return fakeVoice.waiting.map(({ text }) => text)');
  }

  /** The sentence that is being spoken ends: `end` as it should, `error` for another reason. */
  async endSentence(event: 'end' | 'error' = 'end'): Promise<void> {
    await this.#browser.run(
      'fakeVoice.waiting.shift().dispatchEvent(new Event(arguments[0]))',
      event,
    );
  }

  /** All of it is spoken. */
  async endAll(): Promise<void> {
    await this.#browser.run(
      `for (const utterance of fakeVoice.waiting.splice(0)) utterance.dispatchEvent(new Event('end'))`,
    );
  }

  /** The frames of a type that the page sent since the voice is there. */
  async sent(type: string): Promise<Readonly<Record<string, unknown>>[]> {
    return this.#browser.run(
      'return fakeVoice.sent.filter(({ type }) => type === arguments[0])',
      type,
    );
  }

  /** The caller begins to speak. Nobody hears it before the page has begun to listen. */
  async beginSpeech(): Promise<void> {
    await this.#browser.run(`fakeVoice.ear.dispatchEvent(new Event('speechstart'))`);
  }

  async recognize(transcript: string, { isFinal }: { readonly isFinal: boolean }): Promise<void> {
    await this.#browser.run(
      `
      const result = Object.assign([{ transcript: arguments[0] }], { isFinal: arguments[1] });
      fakeVoice.ear.dispatchEvent(Object.assign(new Event('result'), { resultIndex: 0, results: [result] }));
    `,
      transcript,
      isFinal,
    );
  }

  /** Recognition fails, and is over. */
  async deafen(error: string): Promise<void> {
    await this.#browser.run(
      `
      fakeVoice.ear.dispatchEvent(Object.assign(new Event('error'), { error: arguments[0] }));
      fakeVoice.ear.dispatchEvent(new Event('end'));
    `,
      error,
    );
  }
}
