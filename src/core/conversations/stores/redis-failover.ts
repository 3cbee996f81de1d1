// How a failover or a restart of Redis is noticed, and for how long afterwards no tool that acts
// once starts.

import { scriptOf } from './redis-client.ts';

/** After a restart or a failover other processes put their claims back within this time. */
const RESTORING_MS = 10_000;
/** The same after the epoch's key was lost, for example by `FLUSHALL`: all are still connected. */
const RESTORING_LOST_MS = 3_000;
/** Long enough for any server that is in use: each process asks every 1.5 s. */
const EPOCH_TTL_MS = 7 * 86_400_000;
/** No conversation has that id. */
export const EPOCH_ID = '\tepoch';
/** Begins the epoch of a server that does not tell its `run_id`. */
export const UNTOLD = 'untold';

/**
 * Returns the epoch, and how many milliseconds of its beginning are left. A restarted server has a
 * new `run_id`, and so has a replica that takes over. If the user is not allowed to ask for it,
 * only the loss of the epoch's key is noticed.
 */
export const EPOCH = scriptOf(`
local info = redis.pcall('INFO', 'server')
if type(info) ~= 'string' then info = '' end
local run = string.match(info, 'run_id:(%w+)') or '${UNTOLD}'
local upMs = (string.match(info, 'uptime_in_seconds:(%d+)') or 0) * 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'run', 'settled')
if known[1] ~= run then
  local pause = known[1] and ${RESTORING_MS}
    or math.max(${RESTORING_LOST_MS}, ${RESTORING_MS} - upMs)
  known[2] = string.format('%.0f', now + pause)
  redis.call('HSET', KEYS[1], 'run', run, 'settled', known[2])
end
redis.call('PEXPIRE', KEYS[1], ${EPOCH_TTL_MS})
local rest = known[2] - now
if rest < 0 or rest > ${RESTORING_MS} then rest = 0 end -- its clock may have been set back
return {run .. ' ' .. known[2], rest}
`);
