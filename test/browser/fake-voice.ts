// A voice and an ear for a headless browser, which has the interfaces but nothing behind them. They
// do what the test says, when it says so. Defined by https://webaudio.github.io/web-speech-api/

import type { JSHandle, Page } from 'puppeteer-core';

interface Fake {
  readonly spoken: string[];
  readonly waiting: SpeechSynthesisUtterance[];
  readonly sent: { readonly type: string; readonly [field: string]: unknown }[];
  ear: EventTarget | undefined;
}

/**
 * Replaces methods on the browser's own objects, because the page holds on to these objects from
 * its start.
 */
function installFake(): Fake {
  const fake: Fake = { spoken: [], waiting: [], sent: [], ear: undefined };
  Object.assign(speechSynthesis, {
    getVoices: () => [{ name: 'Test' }],
    speak(utterance: SpeechSynthesisUtterance) {
      fake.spoken.push(utterance.text);
      fake.waiting.push(utterance);
    },
    // An utterance that is taken off the queue ends with an error, a little later.
    cancel() {
      for (const utterance of fake.waiting.splice(0)) {
        setTimeout(() => utterance.dispatchEvent(new Event('error')));
      }
    },
  });
  speechSynthesis.dispatchEvent(new Event('voiceschanged'));
  // The compiler's DOM does not have this name yet.
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

  /** Installs a fake in the current page, until that is left. */
  static async install(tab: Page): Promise<FakeVoice> {
    return new FakeVoice(tab, await tab.evaluateHandle(installFake));
  }

  /** Everything that the page gave the voice to speak. */
  async spoken(): Promise<string[]> {
    return this.#fake.evaluate(({ spoken }) => spoken);
  }

  /** What has not been spoken yet; empty once the page has fallen silent. */
  async unspoken(): Promise<string[]> {
    return this.#fake.evaluate(({ waiting }) => waiting.map(({ text }) => text));
  }

  /** Waits until the page has given the voice this many sentences. */
  async speaks(count: number): Promise<void> {
    await this.#tab.waitForFunction(
      (fake, length) => fake.spoken.length === length, {}, this.#fake, count,
    );
  }

  async fallsSilent(): Promise<void> {
    await this.#tab.waitForFunction((fake) => fake.waiting.length === 0, {}, this.#fake);
  }

  /** Ends the sentence that is being spoken: with `end` as it should, with `error` otherwise. */
  async endSentence(event: 'end' | 'error' = 'end'): Promise<void> {
    await this.#fake.evaluate(
      ({ waiting }, type) => waiting.shift()?.dispatchEvent(new Event(type)), event,
    );
  }

  /** Ends all sentences that are waiting, as spoken. */
  async endAll(): Promise<void> {
    await this.#fake.evaluate(({ waiting }) => {
      for (const utterance of waiting.splice(0)) utterance.dispatchEvent(new Event('end'));
    });
  }

  /** The frames of a type that the page has sent since the fake was installed. */
  async sent(type: string): Promise<Readonly<Record<string, unknown>>[]> {
    return this.#fake.evaluate(
      ({ sent }, wanted) => sent.filter((frame) => frame.type === wanted), type,
    );
  }

  /** The caller begins to speak. Nobody hears them before the page has begun to listen. */
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

  /** Recognition fails and ends. */
  async deafen(error: string): Promise<void> {
    await this.#fake.evaluate(({ ear }, reason) => {
      ear?.dispatchEvent(Object.assign(new Event('error'), { error: reason }));
      ear?.dispatchEvent(new Event('end'));
    }, error);
  }
}
