// An echo that answers in the next round of the event loop.
export default {
  name: 'later',
  description: 'Says again what it heard, a moment later.',
  async onMessage({ text }) {
    await new Promise((resolve) => setImmediate(resolve));
    return `You said: ${text}`;
  },
};
