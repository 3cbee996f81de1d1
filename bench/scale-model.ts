// How many machines a number of calls takes, and what breaks first when there are more. A model:
// what a turn costs was measured, how people talk is assumed, and the rest is division.

/** What `npm run bench:scale -- --measure` measures. */
export interface Inputs {
  /** Of the process that runs the turn: its model's tokens, and both writes of the store. */
  readonly serverCpuUsPerTurn: number;
  readonly bytesPerOpenTurn: number;
  /** Between caller and server. */
  readonly callerBytesPerTurn: number;
  /** Between server and model. */
  readonly modelBytesPerTurn: number;
  readonly redisCpuUsPerTurn: number;
  readonly redisBytesPerTurn: number;
  readonly redisWireBytesPerTurn: number;
  /** From one process to another, by pub/sub. */
  readonly redisCpuUsPerMessage: number;
}

export interface Assumptions {
  readonly turnsPerMinute: number;
  /** How long a turn is open: its model answers, and its reply is sent. */
  readonly turnSeconds: number;
  readonly callMinutes: number;
  /** `CONVERSATION_TTL_SECONDS`: how long Redis keeps a call that is over. */
  readonly ttlSeconds: number;
  /** Messages between processes, if every turn of a call ran in another one. */
  readonly messagesPerTurn: number;
  /** The share of what there is that is planned for. The rest is for bursts and failures. */
  readonly utilisation: number;
  /** Of a server's machine, which runs a process for each core. */
  readonly cores: number;
  readonly memoryGib: number;
  readonly networkGbits: number;
  readonly pricePerHour: number;
  /** `MAX_STREAMS`, which the processes of a machine share out. */
  readonly maxStreams: number;
  /** `LimitNOFILE`. A turn takes two: its caller's connection, and its model's. */
  readonly descriptors: number;
  /** Of Redis, per shard. */
  readonly redisMemoryGib: number;
  readonly redisClients: number;
  readonly redisReplicas: number;
  readonly redisPricePerHour: number;
  /** Turns that one balancer can hold open: twice as many connections. */
  readonly balancerStreams: number;
  readonly balancerGbits: number;
}

/** What a process takes before its first turn. */
const IDLE_BYTES = 100 * 2 ** 20;
/** Outgoing ports of Linux to one address: `net.ipv4.ip_local_port_range`. */
const PORTS = 28_232;
/** Each process has one connection to Redis for conversations and one for messages. */
const CLIENTS_PER_PROCESS = 2;
const DESCRIPTORS_PER_TURN = 2;
/** While one server ends, another takes its turns. */
const MIN_SERVERS = 2;

/** Something that a server, a balancer or a shard has only so much of. */
interface Limit {
  readonly what: string;
  /** Shared out between all of them. */
  readonly total: number;
  /** In each of them, however many there are. */
  readonly each?: number;
  readonly capacity: number;
}

export interface Plan {
  readonly calls: number;
  readonly turnsPerSecond: number;
  readonly openTurns: number;
  readonly servers: number;
  readonly balancers: number;
  readonly shards: number;
  /** Installations that know nothing of each other: more than 1 where no number of shards helps. */
  readonly cells: number;
  readonly costPerMillionTurns: number;
}

/** With more calls than that, one of something is not enough. */
export interface LimitOfOne {
  readonly what: string;
  readonly calls: number;
}

/** The fewest machines for so many calls at once. */
export function plan(calls: number, inputs: Inputs, given: Assumptions): Plan {
  for (let cells = 1; cells <= calls; cells++) {
    const cell = planCell(calls / cells, inputs, given);
    if (cell === undefined) continue;
    const { turnsPerSecond, openTurns, servers, balancers, shards } = cell;
    const costPerSecond = (servers * given.pricePerHour
      + shards * (1 + given.redisReplicas) * given.redisPricePerHour) / 3_600;
    return {
      calls,
      cells,
      turnsPerSecond: turnsPerSecond * cells,
      openTurns: openTurns * cells,
      servers: servers * cells,
      balancers: balancers * cells,
      shards: shards * cells,
      costPerMillionTurns: (costPerSecond / turnsPerSecond) * 1e6,
    };
  }
  throw new RangeError(`no number of machines is enough for ${calls} calls`);
}

/** At how many calls one server, one balancer or one shard is used up, the least first. */
export function limitsOfOne(inputs: Inputs, given: Assumptions): LimitOfOne[] {
  const load = loadOf(1e6, given);
  const ofServers = serverLimits(load, inputs, given);
  const servers = needed(ofServers, given.utilisation);
  return [
    ...ofServers,
    ...balancerLimits(load, inputs, given),
    ...redisLimits(load, servers, inputs, given),
  ]
    .map(({ what, total, each = 0, capacity }) =>
      ({ what, calls: (load.calls * capacity) / (total + each) }))
    .sort((one, other) => one.calls - other.calls);
}

type Cell = Omit<Plan, 'calls' | 'cells' | 'costPerMillionTurns'>;

/** Undefined where more shards would not help. */
function planCell(calls: number, inputs: Inputs, given: Assumptions): Cell | undefined {
  const load = loadOf(calls, given);
  const { turnsPerSecond, openTurns } = load;
  const { utilisation } = given;
  const servers = Math.max(MIN_SERVERS, needed(serverLimits(load, inputs, given), utilisation));
  const balancers = needed(balancerLimits(load, inputs, given), utilisation);
  const shards = needed(redisLimits(load, servers, inputs, given), utilisation);
  if (!Number.isFinite(shards)) return undefined;
  return { turnsPerSecond, openTurns, servers, balancers, shards };
}

interface Load {
  readonly calls: number;
  readonly turnsPerSecond: number;
  readonly openTurns: number;
}

function loadOf(calls: number, { turnsPerMinute, turnSeconds }: Assumptions): Load {
  const turnsPerSecond = (calls * turnsPerMinute) / 60;
  return { calls, turnsPerSecond, openTurns: turnsPerSecond * turnSeconds };
}

function serverLimits(load: Load, inputs: Inputs, given: Assumptions): Limit[] {
  const { turnsPerSecond, openTurns } = load;
  const wireBytes =
    inputs.callerBytesPerTurn + inputs.modelBytesPerTurn + inputs.redisWireBytesPerTurn;
  return [
    {
      what: 'CPU of a server',
      total: (turnsPerSecond * inputs.serverCpuUsPerTurn) / 1e6,
      capacity: given.cores,
    },
    {
      what: 'memory of a server',
      total: openTurns * inputs.bytesPerOpenTurn,
      capacity: given.memoryGib * 2 ** 30 - given.cores * IDLE_BYTES,
    },
    { what: '`MAX_STREAMS`', total: openTurns, capacity: given.maxStreams },
    {
      what: 'file descriptors of a server',
      total: openTurns * DESCRIPTORS_PER_TURN,
      capacity: given.descriptors,
    },
    { what: "ports to the model's address", total: openTurns, capacity: PORTS },
    {
      what: 'network of a server',
      total: turnsPerSecond * wireBytes * 8,
      capacity: given.networkGbits * 1e9,
    },
  ];
}

function balancerLimits(load: Load, inputs: Inputs, given: Assumptions): Limit[] {
  return [
    {
      what: 'connections of a balancer',
      total: load.openTurns,
      capacity: given.balancerStreams,
    },
    {
      what: 'network of a balancer',
      total: load.turnsPerSecond * inputs.callerBytesPerTurn * 8,
      capacity: given.balancerGbits * 1e9,
    },
  ];
}

function redisLimits(
  { calls, turnsPerSecond }: Load,
  servers: number,
  inputs: Inputs,
  given: Assumptions,
): Limit[] {
  const processes = servers * given.cores;
  // Unless by chance, a turn runs in another process than the one before it. A message by PUBLISH
  // goes to all shards of a cluster.
  const messages = turnsPerSecond * given.messagesPerTurn * (1 - 1 / processes);
  const ofMessages = (messages * inputs.redisCpuUsPerMessage) / 1e6;
  const callsKept = calls * (1 + given.ttlSeconds / (given.callMinutes * 60));
  const bytesPerCall = given.turnsPerMinute * given.callMinutes * inputs.redisBytesPerTurn;
  return [
    {
      what: 'CPU of Redis',
      total: (turnsPerSecond * inputs.redisCpuUsPerTurn) / 1e6,
      each: ofMessages,
      capacity: 1, // one thread
    },
    { what: 'messages of Redis', total: 0, each: ofMessages, capacity: 1 },
    {
      what: 'memory of Redis',
      total: callsKept * bytesPerCall,
      capacity: given.redisMemoryGib * 2 ** 30,
    },
    {
      what: 'network of Redis',
      total: turnsPerSecond * inputs.redisWireBytesPerTurn * 8,
      capacity: given.networkGbits * 1e9,
    },
    {
      what: '`maxclients` of Redis',
      total: 0,
      each: processes * CLIENTS_PER_PROCESS,
      capacity: given.redisClients,
    },
  ];
}

/** How many of them it takes to stay within the share that is planned for. */
function needed(limits: readonly Limit[], utilisation: number): number {
  const counts = limits.map(({ total, each = 0, capacity }) => {
    const left = utilisation * capacity - each;
    return left > 0 ? total / left : Infinity;
  });
  return Math.max(1, Math.ceil(Math.max(...counts)));
}
