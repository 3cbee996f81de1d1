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
  const host = context.header('host') ?? '';
  if (!isLoopbackHost(hostnameOf(`http://${host}`))) return 'the host header is not localhost or 127.0.0.1';
  const origin = context.header('origin');
  if (origin !== undefined && !isLoopbackHost(hostnameOf(origin))) return 'the page that asks is not of localhost or 127.0.0.1';
  const forwardedFor = context.header('x-forwarded-for')?.split(',') ?? [];
  const isForwarded = FORWARDING_HEADERS.some((name) => context.header(name) !== undefined);
  if (isForwarded || !forwardedFor.every((address) => isLoopbackAddress(address.trim()))) return 'a proxy passed the request on from elsewhere';
  return undefined;
}

/** Set by cloudflared and by proxies that follow RFC 7239, whoever they serve. */
const FORWARDING_HEADERS = ['cf-connecting-ip', 'forwarded'];

/** 127.0.0.0/8 and ::1, as a socket spells them. */
function isLoopbackAddress(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(address);
}

/** By name: what a browser never asks DNS about (RFC 6761 §6.3), or an address that is loopback itself. */
function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]' || isLoopbackAddress(hostname);
}

/** '' for what is no URL, `null` for instance: the origin of a sandboxed page or a file. */
function hostnameOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : '';
}
