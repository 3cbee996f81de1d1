// Listens to the caller with the browser's speech recognition:
// https://webaudio.github.io/web-speech-api/#speechreco-section

/** What to tell the caller, keyed by the recognition's error. */
const PROBLEMS = /** @type {Readonly<Record<string, string>>} */ ({
  'no-speech': 'Nothing was heard.',
  'audio-capture': 'There is no microphone.',
  'not-allowed': 'The browser may not use the microphone: allow it in the address bar.',
  'service-not-allowed': 'This browser does not allow speech recognition.',
  network: 'The browser\'s speech recognition cannot reach the network.',
});

/**
 * Listens from the moment it is switched on until the caller has said something.
 *
 * @param {new () => SpeechRecognition} Recognition the browser's
 * @param {object} listener
 * @param {() => void} listener.onSpeechStart the caller begins to speak; there are no words yet
 * @param {(text: string) => void} listener.onInterim the words recognised so far
 * @param {(text: string) => void} listener.onText
 * @param {(problem: string) => void} listener.onProblem
 * @param {() => void} listener.onChange `isListening` has changed
 */
export function createMicrophone(
  Recognition,
  { onSpeechStart, onInterim, onText, onProblem, onChange },
) {
  let isListening = false;

  /** @param {boolean} value */
  function setListening(value) {
    isListening = value;
    onChange();
  }

  const recognition = new Recognition();
  recognition.lang = navigator.language;
  recognition.interimResults = true;
  recognition.onspeechstart = onSpeechStart;
  recognition.onresult = ({ results, resultIndex }) => {
    for (const result of Array.from(results).slice(resultIndex)) {
      const text = result[0]?.transcript.trim() ?? '';
      if (result.isFinal && text !== '') onText(text);
      else onInterim(text);
    }
  };
  recognition.onerror = ({ error }) => {
    if (error !== 'aborted') onProblem(PROBLEMS[error] ?? `Speech recognition failed: ${error}.`);
  };
  recognition.onend = () => setListening(false);

  return {
    get isListening() {
      return isListening;
    },

    toggle() {
      if (isListening) return recognition.stop();
      recognition.start();
      setListening(true);
    },
  };
}
