// Loaded into the server by `npm run soak`: whoever connects to HEAP_PORT is told how many bytes
// of the heap are in use once nothing is left to collect.
import { createServer } from 'node:net';
import { setImmediate as nextRound } from 'node:timers/promises';

const door = createServer(async (socket) => {
  // Twice: what has finalizers goes with the second.
  for (let time = 0; time < 2; time++) {
    globalThis.gc();
    await nextRound();
  }
  socket.end(String(process.memoryUsage().heapUsed));
});
door.listen(Number(process.env.HEAP_PORT), '127.0.0.1').unref();
