/** What a thread of `SqliteThread` runs: a file or, in `dist/`, its code. */
export const sqliteWorker: { readonly script: URL | string; readonly eval: boolean } = {
  script: new URL('./sqlite-worker.ts', import.meta.url),
  eval: false,
};
