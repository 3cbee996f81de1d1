// Speaks replies with the browser's voice. Ruled by https://webaudio.github.io/web-speech-api/#tts-section

const sentences = new Intl.Segmenter(undefined, { granularity: 'sentence' });

/** How long a voice may take for what it was given, before it counts as one that ends without saying so. */
const GRACE_MS = 10_000;
const MS_PER_CHARACTER = 200;

/**
 * @typedef {object} SpokenReply
 * @property {string} turnId
 * @property {Set<SpeechSynthesisUtterance>} utterances that are not spoken yet
 * @property {string} rest the beginning of a sentence
 * @property {number} length of what was given to the voice
 * @property {boolean} isWhole
 */

/** Speaks one reply at a time, each sentence as soon as it is whole. Without a voice, or switched off, a reply is finished when it is whole. */
export class Speaker {
  #synthesis;
  #onFinish;
  #onChange;
  /** @type {SpokenReply | undefined} */
  #reply;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isOn = true;

  /**
   * @param {object} options
   * @param {SpeechSynthesis | undefined} options.synthesis
   * @param {(turnId: string) => void} options.onFinish a reply is spoken to its end
   * @param {() => void} options.onChange `isSpeaking` or `hasVoice` may have changed
   */
  constructor({ synthesis, onFinish, onChange }) {
    this.#synthesis = synthesis;
    this.#onFinish = onFinish;
    this.#onChange = onChange;
    synthesis?.addEventListener?.('voiceschanged', onChange); // Safari's synthesis is no event target; its voices are there at once
  }

  /** A headless browser has the interface, and nobody behind it. */
  get hasVoice() {
    return (this.#synthesis?.getVoices().length ?? 0) > 0;
  }

  get isSpeaking() {
    return (this.#reply?.utterances.size ?? 0) > 0;
  }

  /** @param {boolean} isOn */
  set isOn(isOn) {
    this.#isOn = isOn;
    const reply = this.#reply;
    if (isOn || reply === undefined) return;
    reply.utterances.clear();
    this.#synthesis?.cancel();
    if (reply.isWhole) this.#finish(reply);
    this.#onChange();
  }

  /** @param {string} turnId */
  begin(turnId) {
    this.stop();
    this.#reply = { turnId, utterances: new Set(), rest: '', length: 0, isWhole: false };
  }

  /**
   * Takes the next piece of a reply. Pieces of one that was stopped are not spoken.
   *
   * @param {string} turnId
   * @param {string} text
   */
  add(turnId, text) {
    const reply = this.#reply;
    if (reply?.turnId !== turnId) return;
    reply.rest += text;
    const found = [...sentences.segment(reply.rest)];
    reply.rest = found.pop()?.segment ?? ''; // the last one may go on
    for (const { segment } of found) this.#say(reply, segment);
  }

  /**
   * The reply is whole.
   *
   * @param {string} turnId
   */
  end(turnId) {
    const reply = this.#reply;
    if (reply?.turnId !== turnId) return;
    this.#say(reply, reply.rest);
    reply.rest = '';
    reply.isWhole = true;
    if (reply.utterances.size === 0) this.#finish(reply);
    else
      this.#timer = setTimeout(
        () => this.#finish(reply),
        GRACE_MS + reply.length * MS_PER_CHARACTER,
      );
  }

  /** Falls silent in mid-word, as for a caller who speaks. The reply is not finished. */
  stop() {
    if (this.#reply === undefined) return;
    this.#reply = undefined;
    clearTimeout(this.#timer);
    this.#synthesis?.cancel();
    this.#onChange();
  }

  /**
   * @param {SpokenReply} reply
   * @param {string} sentence
   */
  #say(reply, sentence) {
    if (sentence.trim() === '' || !this.#isOn || !this.hasVoice) return;
    const utterance = new SpeechSynthesisUtterance(sentence);
    utterance.lang = navigator.language; // else the page's, and a page in English would read all replies as English
    // A voice that fails, or is not allowed to speak before the page was touched, has nothing more to say.
    utterance.onend = utterance.onerror = () => {
      reply.utterances.delete(utterance);
      if (reply !== this.#reply || reply.utterances.size > 0) return;
      if (reply.isWhole) this.#finish(reply);
      this.#onChange();
    };
    reply.length += sentence.length;
    reply.utterances.add(utterance); // Chromium forgets an utterance, and its events, that nobody holds
    this.#synthesis?.speak(utterance);
    this.#onChange();
  }

  /** @param {SpokenReply} reply */
  #finish(reply) {
    if (reply !== this.#reply) return;
    this.#reply = undefined;
    clearTimeout(this.#timer);
    this.#onFinish(reply.turnId);
    this.#onChange();
  }
}
