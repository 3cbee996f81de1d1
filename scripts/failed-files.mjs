// A reporter for Node's test runner: the files in which a test failed, one a line.

export default async function* failedFiles(events) {
  const files = new Set();
  for await (const { type, data } of events) {
    if (type !== 'test:fail' || data.file === undefined) continue;
    // A file that many run in is written for one run (scripts/test.mjs); its tests are named, too.
    if (data.file.endsWith('.ts')) files.add(data.file);
  }
  for (const file of files) yield `${file}\n`;
}
