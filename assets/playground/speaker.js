// Speaks replies with the browser's voice: https://webaudio.github.io/web-speech-api/#tts-section

const sentences = new Intl.Segmenter(undefined, { granularity: 'sentence' });

/** How long a voice may take before it is assumed to have ended without saying so. */
const GRACE_MS = 10_000;
const MS_PER_CHARACTER = 200;

/**
 * @typedef {object} SpokenReply
 * @property {string} turnId
 * @property {Set<SpeechSynthesisUtterance>} utterances those not spoken yet
 * @property {string} rest the beginning of a sentence
 * @property {number} length the length of the text given to the voice
 * @property {boolean} isWhole
 */

/**
 * Speaks one reply at a time, and each sentence as soon as it is complete. Without a voice, or when
 * switched off, a reply is finished as soon as it is complete.
 */
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
   * @param {(turnId: string) => void} options.onFinish a reply has been spoken to its end
   * @param {() => void} options.onChange `isSpeaking` or `hasVoice` may have changed
   */
  constructor({ synthesis, onFinish, onChange }) {
    this.#synthesis = synthesis;
    this.#onFinish = onFinish;
    this.#onChange = onChange;
    // Safari's synthesis is not an event target; it has its voices at once.
    synthesis?.addEventListener?.('voiceschanged', onChange);
  }

  /** A headless browser has the interface but no voices. */
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
   * Takes the next piece of a reply. A stopped reply is not spoken any further.
   *
   * @param {string} turnId
   * @param {string} text
   */
  add(turnId, text) {
    const reply = this.#reply;
    if (reply?.turnId !== turnId) return;
    reply.rest += text;
    const found = [...sentences.segment(reply.rest)];
    reply.rest = found.pop()?.segment ?? ''; // the last one may be incomplete
    for (const { segment } of found) this.#say(reply, segment);
  }

  /**
   * The reply is complete.
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

  /** Stops in mid-word, because the caller is speaking. The reply does not count as finished. */
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
    utterance.lang = navigator.language; // the page's language would make every reply English
    // A voice that fails, or may not speak until the page has been touched, says nothing more.
    utterance.onend = utterance.onerror = () => {
      reply.utterances.delete(utterance);
      if (reply !== this.#reply || reply.utterances.size > 0) return;
      if (reply.isWhole) this.#finish(reply);
      this.#onChange();
    };
    reply.length += sentence.length;
    // Chromium drops an utterance, and its events, if nothing refers to it.
    reply.utterances.add(utterance);
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
