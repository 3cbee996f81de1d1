// What must not outlive this process.

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

/**
 * Runs `clear` when the process exits, and when a signal ends it, of which `exit` does not tell;
 * nothing can be awaited there. Returns what takes that back. SIGKILL alone is faster.
 */
export function atExit(clear: () => void): () => void {
  const onSignal = (signal: NodeJS.Signals): void => {
    takeBack();
    clear();
    // As if nobody had listened: a process that was signalled says so in its end.
    process.kill(process.pid, signal);
  };
  const takeBack = (): void => {
    process.off('exit', clear);
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
  process.once('exit', clear);
  for (const signal of SIGNALS) process.once(signal, onSignal);
  return takeBack;
}
