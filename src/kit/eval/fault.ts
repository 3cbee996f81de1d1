/** What is wrong with a line of a script. Caught where the number of the line is known. */
export class LineFault extends Error {
  override readonly name = 'LineFault';
}
