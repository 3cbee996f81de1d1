// `npm run soak` loads this into the server. A connection to HEAP_PORT gets the number of bytes of
// the heap in use after a full garbage collection.
import { createServer } from 'node:net';
import { setImmediate as nextRound } from 'node:timers/promises';

const door = createServer(async (socket) => {
  // Twice: objects with finalizers are removed by the second.
  for (let time = 0; time < 2; time++) {
    globalThis.gc();
    await nextRound();
  }
  socket.end(String(process.memoryUsage().heapUsed));
});
door.listen(Number(process.env.HEAP_PORT), '127.0.0.1').unref();
