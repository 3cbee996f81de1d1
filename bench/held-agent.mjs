// An agent that keeps every turn open until the process gets SIGUSR2: the server's side of
// measuring open streams.
const held = new Set();

process.on('SIGUSR2', () => {
  for (const release of held) release();
  held.clear();
});

export default {
  name: 'held',
  description: 'Says "Hold on.", and "Done." after SIGUSR2.',
  async *onMessage({ signal }) {
    yield 'Hold on.';
    await new Promise((resolve) => {
      held.add(resolve);
      signal.addEventListener('abort', resolve, { once: true });
    });
    yield 'Done.';
  },
};
