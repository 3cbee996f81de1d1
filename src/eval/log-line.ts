import { oneLine } from '../cli/terminal/one-line.ts';

/** A log record as one line: the message, and what went wrong. */
export function describeLogLine(line: string): string {
  const { msg, error, problem } = JSON.parse(line) as {
    msg: string;
    error?: { message?: string };
    problem?: string;
  };
  return oneLine([msg, error?.message ?? problem].filter((part) => part !== undefined).join(': '));
}
