import { oneLine } from '../terminal/text.ts';

/** A log record as one line: the message, the tool that it is about, and what went wrong. */
export function describeLogLine(line: string): string {
  const { msg, tool, error, problem, reason } = JSON.parse(line) as {
    msg: string;
    tool?: string;
    error?: { message?: string };
    problem?: string;
    reason?: string;
  };
  const parts = [msg, tool, error?.message ?? problem ?? reason];
  return oneLine(parts.filter((part) => part !== undefined).join(': '));
}
