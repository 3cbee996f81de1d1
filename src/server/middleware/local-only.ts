import type { Check } from '../../base/http/compose.ts';
import type { Context } from '../../base/http/context.ts';
import { HttpError } from '../../base/http/errors.ts';

/**
 * Serves only programs on this machine and pages it hosts. Anything else gets 403 with the reason.
 *
 * The peer's address is not enough:
 *
 * - A page of any site can make its name resolve to 127.0.0.1 (DNS rebinding). Its `Host` gives it
 *   away.
 * - Such a page can also send cross-origin requests. Its `Origin` gives it away.
 * - A tunnel or proxy on this machine forwards requests from elsewhere. Its headers give it away,
 *   or HTTP/1.0 does: nginx before 1.29.7 uses that by default and adds no header.
 */
export function localOnly(): Check {
  return function localOnly(context) {
    const fault = faultOf(context);
    if (fault !== undefined) {
      throw new HttpError(403, `this route serves only this machine: ${fault}`);
    }
  };
}

function faultOf(context: Context): string | undefined {
  const { socket, httpVersion } = context.request;
  // A request through `app.fetch` has no address, whatever its server says about the client.
  if (!isLoopbackAddress(socket.remoteAddress ?? '')) {
    return 'the request comes from another machine or an unknown address';
  }
  if (!isLoopbackAuthority(context.header('host') ?? '')) {
    return 'the host header is not localhost or 127.0.0.1';
  }
  if (httpVersion === '1.0') return 'HTTP/1.0 suggests a proxy';
  const origin = context.header('origin');
  if (origin !== undefined && !isLoopbackOrigin(origin)) {
    return 'the origin header is not localhost or 127.0.0.1';
  }
  return isForwarded(context) ? 'a proxy forwarded the request from elsewhere' : undefined;
}

/**
 * Whether a header shows that a proxy forwarded the request. A proxy that uses HTTP/1.1 and adds
 * no header, like a raw TCP tunnel or a newer nginx, looks like a program on this machine.
 */
function isForwarded(context: Context): boolean {
  const values = (name: string): string[] =>
    context
      .header(name)
      ?.split(',')
      .map((value) => value.trim()) ?? [];
  return (
    PROXY_HEADERS.some((name) => context.header(name) !== undefined)
    || CLIENT_ADDRESS_HEADERS.some((name) => !values(name).every(isLoopbackAddress))
    || !values('x-forwarded-host').every(isLoopbackAuthority)
  );
}

/** Refused whatever their value: RFC 9110 §7.6.3, RFC 7239, and the one cloudflared adds. */
const PROXY_HEADERS = ['via', 'forwarded', 'cf-connecting-ip'];
const CLIENT_ADDRESS_HEADERS = ['x-forwarded-for', 'x-real-ip', 'true-client-ip'];

/** 127.0.0.0/8 and ::1, as a socket spells them. */
function isLoopbackAddress(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(address);
}

/** Whether a page with this origin is hosted on this machine. */
export function isLoopbackOrigin(origin: string): boolean {
  return /^https?:\/\//.test(origin) && isLoopbackAuthority(origin.slice(origin.indexOf('//') + 2));
}

/**
 * A host with an optional port: a loopback address, or a name that browsers never look up in DNS
 * (RFC 6761 §6.3).
 */
function isLoopbackAuthority(authority: string): boolean {
  const host = /^([\w.-]+|\[::1\])(?::\d{1,5})?$/.exec(authority)?.[1]?.toLowerCase() ?? '';
  return (
    host === 'localhost'
    || host.endsWith('.localhost')
    || host === '[::1]'
    || isLoopbackAddress(host)
  );
}
