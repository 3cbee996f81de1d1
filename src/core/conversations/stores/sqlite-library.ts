// The part of `node:sqlite` that is used. The types of Node 20 do not have it.

type Value = string | number;

export interface Statement {
  run(...values: Value[]): { readonly changes: number | bigint };
  get(...values: Value[]): unknown;
  all(...values: Value[]): unknown[];
}

export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

interface Sqlite {
  readonly DatabaseSync: new (path: string) => Database;
}

const BUSY = 5;
const LOCKED = 6;
const EXTENDED_BITS = 8;

let library: Sqlite | undefined;

/** Available from Node 22.13 on. */
export function loadSqlite(): Sqlite {
  return (library ??= withoutWarning(() => process.getBuiltinModule('node:sqlite') as Sqlite));
}

/**
 * Node 22 warns on stderr that the module is experimental. That warning is suppressed while the
 * module is loaded. Loading is synchronous, so nothing else runs meanwhile.
 */
function withoutWarning(load: () => Sqlite): Sqlite {
  const { emitWarning } = process;
  process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
    if (rest[0] !== 'ExperimentalWarning') Reflect.apply(emitWarning, process, [warning, ...rest]);
  };
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}

/**
 * The primary result code: https://www.sqlite.org/rescode.html. Undefined if the error is not
 * SQLite's.
 */
export function resultCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error && 'errcode' in error)) return undefined;
  return Number(error.errcode) % (1 << EXTENDED_BITS);
}

/** Whether another process holds a lock. The command did nothing and may be tried again. */
export function isBusy(error: unknown): boolean {
  const code = resultCodeOf(error);
  return code === BUSY || code === LOCKED;
}
