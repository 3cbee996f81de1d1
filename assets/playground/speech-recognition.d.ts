// What the page needs from https://webaudio.github.io/web-speech-api/ that TypeScript's DOM library
// leaves out.

interface SpeechRecognition {
  lang: string;
  interimResults: boolean;
  onspeechstart: (() => void) | null;
  onresult: ((event: SpeechRecognitionEvent) => void) | null;
  onerror: ((event: SpeechRecognitionErrorEvent) => void) | null;
  onend: (() => void) | null;
  start(): void;
  stop(): void;
  abort(): void;
}

interface Window {
  readonly SpeechRecognition?: new () => SpeechRecognition;
  readonly webkitSpeechRecognition?: new () => SpeechRecognition;
}
