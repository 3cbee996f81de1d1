/** The code of a system error, such as `ENOENT`, or of one of Node's. Undefined for all others. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
