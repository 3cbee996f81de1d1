const IPV4_WITH_PORT = /^(\d+\.\d+\.\d+\.\d+):\d+$/;
const IPV6_WITH_PORT = /^\[(.*)\](:\d+)?$/;

/** The key of one client: an IPv4 address, or the /64 an IPv6 host can choose addresses from. */
export function clientKey(forwarded: string): string {
  // Some proxies add the port.
  const address = forwarded.replace(IPV4_WITH_PORT, '$1').replace(IPV6_WITH_PORT, '$1');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(':')) return address.slice(0, 64);
  const [head = '', tail] = address.toLowerCase().split('%', 1)[0]?.split('::') ?? [];
  const groups = head === '' ? [] : head.split(':');
  const tailGroups = tail === undefined || tail === '' ? 0 : tail.split(':').length;
  const missing = tail === undefined ? 0 : Math.max(0, 8 - groups.length - tailGroups);
  const network = [...groups, ...new Array<string>(missing).fill('0')].slice(0, 4);
  return network.map((group) => group.replace(/^0+(?=.)/, '')).join(':');
}
