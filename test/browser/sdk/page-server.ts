// The front ends' own server, which has a different origin from ours.

import { createServer } from 'node:http';

import { listen } from '../../fixtures/listen.ts';

/** Serves each script as a page with its name: `origin/name`. `name` needs no escaping. */
export async function servePages(
  scripts: Readonly<Record<string, string>>,
): Promise<{ readonly origin: string; readonly close: () => Promise<void> }> {
  const answers = new Map<string, readonly [type: string, body: string]>();
  for (const [name, script] of Object.entries(scripts)) {
    answers.set(`/${name}`, ['text/html', page(name)]);
    answers.set(`/${name}.js`, ['text/javascript', script]);
  }
  const server = createServer((request, response) => {
    const answer = answers.get(new URL(request.url ?? '/', 'http://localhost').pathname);
    const [type, body] = answer ?? ['text/plain', 'Not found'];
    response
      .writeHead(answer === undefined ? 404 : 200, { 'content-type': `${type}; charset=utf-8` })
      .end(body);
  });
  const { port, close } = await listen(server);
  return { origin: `http://localhost:${port}`, close };
}

function page(name: string): string {
  return `<!doctype html>
<html lang="en">
<link rel="icon" href="data:,">
<title>${name}</title>
<div id="root"></div>
<script src="/${name}.js"></script>`;
}
