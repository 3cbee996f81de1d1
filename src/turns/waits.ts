/** What a turn has waited for, so that its log line says why it was slow. In milliseconds. */
export class Waits {
  /** For the store: to open its record, and to store its tool calls. */
  storeMs = 0;
  /** Of all its tools together. They may have run at the same time. */
  toolMs = 0;
  slowestTool: string | undefined;
  #slowestMs = 0;

  noteStore(ms: number): void {
    this.storeMs += ms;
  }

  noteTool(name: string, ms: number): void {
    this.toolMs += ms;
    if (ms < this.#slowestMs) return;
    this.#slowestMs = ms;
    this.slowestTool = name;
  }
}
