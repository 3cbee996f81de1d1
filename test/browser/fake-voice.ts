// A voice and an ear for a headless browser, which has the interfaces and nobody behind them. They
// do what the test says, when it says it. Ruled by https://webaudio.github.io/web-speech-api/

import type { JSHandle, Page } from 'puppeteer-core';

interface Fake {
  readonly spoken: string[];
  readonly waiting: SpeechSynthesisUtterance[];
  readonly sent: { readonly type: string; readonly [field: string]: unknown }[];
  ear: EventTarget | undefined;
}

/**
 * Put in place of the methods that the page finds on the browser's own objects, which it holds on
 * to from its start.
 */
function installFake(): Fake {
  const fake: Fake = { spoken: [], waiting: [], sent: [], ear: undefined };
  Object.assign(speechSynthesis, {
    getVoices: () => [{ name: 'Test' }],
    speak(utterance: SpeechSynthesisUtterance) {
      fake.spoken.push(utterance.text);
      fake.waiting.push(utterance);
    },
    // An utterance that is taken out of the queue ends with an error, a little later.
    cancel() {
      for (const utterance of fake.waiting.splice(0)) {
        setTimeout(() => utterance.dispatchEvent(new Event('error')));
      }
    },
  });
  speechSynthesis.dispatchEvent(new Event('voiceschanged'));
  // The compiler's DOM has no such name yet.
  const { SpeechRecognition } = globalThis as unknown as {
    readonly SpeechRecognition: { readonly prototype: object };
  };
  Object.assign(SpeechRecognition.prototype, {
    start(this: EventTarget) {
      fake.ear = this;
    },
    stop(this: EventTarget) {
      this.dispatchEvent(new Event('end'));
    },
  });
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    fake.sent.push(JSON.parse(String(data)));
    send.call(this, data);
  };
  return fake;
}

export class FakeVoice {
  readonly #tab: Page;
  readonly #fake: JSHandle<Fake>;

  private constructor(tab: Page, fake: JSHandle<Fake>) {
    this.#tab = tab;
    this.#fake = fake;
  }

  /** Into the page as it is now, until it is left. */
  static async install(tab: Page): Promise<FakeVoice> {
    return new FakeVoice(tab, await tab.evaluateHandle(installFake));
  }

  /** All that the page gave the voice to speak. */
  async spoken(): Promise<string[]> {
    return this.#fake.evaluate(({ spoken }) => spoken);
  }

  /** What of it is not spoken yet; empty where the page fell silent. */
  async unspoken(): Promise<string[]> {
    return this.#fake.evaluate(({ waiting }) => waiting.map(({ text }) => text));
  }

  /** Waits until the page has given the voice so many sentences. */
  async speaks(count: number): Promise<void> {
    await this.#tab.waitForFunction(
      (fake, length) => fake.spoken.length === length, {}, this.#fake, count,
    );
  }

  async fallsSilent(): Promise<void> {
    await this.#tab.waitForFunction((fake) => fake.waiting.length === 0, {}, this.#fake);
  }

  /** The sentence that is being spoken ends: `end` as it should, `error` for another reason. */
  async endSentence(event: 'end' | 'error' = 'end'): Promise<void> {
    await this.#fake.evaluate(
      ({ waiting }, type) => waiting.shift()?.dispatchEvent(new Event(type)), event,
    );
  }

  /** All of it is spoken. */
  async endAll(): Promise<void> {
    await this.#fake.evaluate(({ waiting }) => {
      for (const utterance of waiting.splice(0)) utterance.dispatchEvent(new Event('end'));
    });
  }

  /** The frames of a type that the page sent since the voice is there. */
  async sent(type: string): Promise<Readonly<Record<string, unknown>>[]> {
    return this.#fake.evaluate(
      ({ sent }, wanted) => sent.filter((frame) => frame.type === wanted), type,
    );
  }

  /** The caller begins to speak. Nobody hears it before the page has begun to listen. */
  async beginSpeech(): Promise<void> {
    await this.#fake.evaluate(({ ear }) => ear?.dispatchEvent(new Event('speechstart')));
  }

  async recognize(transcript: string, { isFinal }: { readonly isFinal: boolean }): Promise<void> {
    await this.#fake.evaluate(
      ({ ear }, result) => {
        const results = [Object.assign([{ transcript: result.transcript }], result)];
        ear?.dispatchEvent(Object.assign(new Event('result'), { resultIndex: 0, results }));
      },
      { transcript, isFinal },
    );
  }

  /** Recognition fails, and is over. */
  async deafen(error: string): Promise<void> {
    await this.#fake.evaluate(({ ear }, reason) => {
      ear?.dispatchEvent(Object.assign(new Event('error'), { error: reason }));
      ear?.dispatchEvent(new Event('end'));
    }, error);
  }
}
