// A reporter for Node's test runner: the files in which a test failed, one a line.

export default async function* failedFiles(events) {
  const files = new Set();
  for await (const { type, data } of events) {
    if (type !== 'test:fail' || data.file === undefined) continue;
    // A file in which many others run is written for one run (scripts/test.mjs); theirs are named
    // too.
    if (data.file.endsWith('.ts')) files.add(data.file);
  }
  for (const file of files) yield `${file}\n`;
}
