import { HttpError } from '../http/errors.ts';
import type { Middleware } from '../http/compose.ts';
import type { Context } from '../http/context.ts';

/**
 * Lets nobody in but programs of this machine, and pages that it serves itself: 403 for the rest, with the reason.
 *
 * The peer's address is not enough. A page of any site can have its name resolve to 127.0.0.1 (DNS rebinding), which its `Host`
 * gives away; it can call across origins, which its `Origin` gives away; and a tunnel or proxy of this machine brings the world
 * along, which its headers give away.
 */
export function localOnly(): Middleware {
  return function localOnly(context, next) {
    const fault = faultOf(context);
    if (fault !== undefined) throw new HttpError(403, `only this machine is served here, and ${fault}`);
    return next();
  };
}

function faultOf(context: Context): string | undefined {
  if (!isLoopbackAddress(context.request.socket.remoteAddress ?? '')) return 'the request comes from another one';
  if (!isLoopbackAuthority(context.header('host') ?? '')) return 'the host header is not localhost or 127.0.0.1';
  const origin = context.header('origin');
  if (origin !== undefined && !/^https?:\/\//.test(origin)) return 'the page that asks has no origin of this machine';
  if (origin !== undefined && !isLoopbackAuthority(origin.slice(origin.indexOf('//') + 2))) return 'the page that asks is not of localhost or 127.0.0.1';
  return isForwarded(context) ? 'a proxy passed the request on from elsewhere' : undefined;
}

/** Whether a header of a proxy says so. One that adds none, as a raw TCP tunnel, cannot be told from a program of this machine. */
function isForwarded(context: Context): boolean {
  const values = (name: string): string[] => context.header(name)?.split(',').map((value) => value.trim()) ?? [];
  return PROXY_HEADERS.some((name) => context.header(name) !== undefined)
    || CLIENT_ADDRESS_HEADERS.some((name) => !values(name).every(isLoopbackAddress))
    || !values('x-forwarded-host').every(isLoopbackAuthority);
}

/** Whatever they say: RFC 9110 §7.6.3, RFC 7239, and cloudflared's. */
const PROXY_HEADERS = ['via', 'forwarded', 'cf-connecting-ip'];
const CLIENT_ADDRESS_HEADERS = ['x-forwarded-for', 'x-real-ip', 'true-client-ip'];

/** 127.0.0.0/8 and ::1, as a socket spells them. */
function isLoopbackAddress(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(address);
}

/** A host and a port, if any: a name that a browser never asks DNS about (RFC 6761 §6.3), or an address that is loopback itself. */
function isLoopbackAuthority(authority: string): boolean {
  const host = /^([\w.-]+|\[::1\])(?::\d{1,5})?$/.exec(authority)?.[1]?.toLowerCase() ?? '';
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || isLoopbackAddress(host);
}
