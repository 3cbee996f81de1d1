// How many machines a number of calls needs, and what runs out first beyond that. A model: the cost
// of a turn has been measured, how people talk is assumed, and the rest is division.

/** What `npm run bench:scale -- --measure` measures. */
export interface Inputs {
  /**
   * CPU time of the process that runs the turn: for reading the model's tokens, and for both writes
   * to the store.
   */
  readonly serverCpuUsPerTurn: number;
  readonly bytesPerOpenTurn: number;
  /** Bytes sent between caller and server. */
  readonly callerBytesPerTurn: number;
  /** Bytes sent between server and model. */
  readonly modelBytesPerTurn: number;
  readonly redisCpuUsPerTurn: number;
  readonly redisBytesPerTurn: number;
  readonly redisWireBytesPerTurn: number;
  /** For a message from one process to another, by pub/sub. */
  readonly redisCpuUsPerMessage: number;
}

export interface Assumptions {
  readonly turnsPerMinute: number;
  /** How long a turn is open: while its model is answering and its reply is being sent. */
  readonly turnSeconds: number;
  readonly callMinutes: number;
  /** `CONVERSATION_TTL_SECONDS`: how long Redis keeps a call that is over. */
  readonly ttlSeconds: number;
  /** Messages between processes per turn, if every turn of a call runs in a different process. */
  readonly messagesPerTurn: number;
  /** The share of each capacity that is planned for. The rest is for bursts and failures. */
  readonly utilisation: number;
  /** Cores of a server machine, which runs one process per core. */
  readonly cores: number;
  readonly memoryGib: number;
  readonly networkGbits: number;
  readonly pricePerHour: number;
  /** `MAX_STREAMS`, which the processes of a machine share out. */
  readonly maxStreams: number;
  /** `LimitNOFILE`. A turn takes two descriptors: its caller's connection, and its model's. */
  readonly descriptors: number;
  /** Memory of each Redis shard. */
  readonly redisMemoryGib: number;
  readonly redisClients: number;
  readonly redisReplicas: number;
  readonly redisPricePerHour: number;
  /** Turns that one balancer can hold open, with two connections each. */
  readonly balancerStreams: number;
  readonly balancerGbits: number;
}

/** Memory of a process before its first turn. */
const IDLE_BYTES = 100 * 2 ** 20;
/** Linux's outgoing ports to one address: `net.ipv4.ip_local_port_range`. */
const PORTS = 28_232;
/** Each process has one connection to Redis for conversations and one for messages. */
const CLIENTS_PER_PROCESS = 2;
const DESCRIPTORS_PER_TURN = 2;
/** While one server is shutting down, another takes its turns. */
const MIN_SERVERS = 2;

/** A resource that is limited on a server, a balancer or a shard. */
interface Limit {
  readonly what: string;
  /** The load that is shared out between all machines. */
  readonly total: number;
  /** The load on each machine, no matter how many there are. */
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
  /** Independent installations: more than 1 if no number of shards is enough. */
  readonly cells: number;
  readonly costPerMillionTurns: number;
}

/** How many calls one server, balancer or shard can carry with its share of one resource. */
export interface LimitOfOne {
  readonly what: string;
  readonly calls: number;
}

/** The fewest machines for this many simultaneous calls. */
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

/**
 * The number of calls at which each limit of one server, balancer or shard is reached, lowest
 * first.
 */
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

/** Undefined if more shards would not help. */
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
  // A turn usually runs in a different process from the turn before it. A message by PUBLISH goes
  // to all shards of a cluster.
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

/** How many machines it takes to stay within the planned share of their capacity. */
function needed(limits: readonly Limit[], utilisation: number): number {
  const counts = limits.map(({ total, each = 0, capacity }) => {
    const left = utilisation * capacity - each;
    return left > 0 ? total / left : Infinity;
  });
  return Math.max(1, Math.ceil(Math.max(...counts)));
}
