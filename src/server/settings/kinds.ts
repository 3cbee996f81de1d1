// The kinds of values that settings take: what a value may be, and how it is parsed.

import { isIPv6 } from 'node:net';

import { lazyPattern } from '../../base/lazy-pattern.ts';
import { nearestName } from '../../base/nearest-name.ts';

export class Refusal {
  readonly reason: string;
  /** Whether the reason shows the value. Otherwise the problem adds it. */
  readonly showsValue: boolean;
  constructor(reason: string, showsValue = false) {
    this.reason = reason;
    this.showsValue = showsValue;
  }
}

export interface Kind<T> {
  /** Completes "must be …". */
  readonly takes: string;
  readonly secret?: boolean;
  parse(text: string): T | Refusal;
}

/** The longest timeout. Node's timers overflow above 2^31 − 1 ms, and then fire at once. */
export const daySeconds = 86_400;
export const tenYearsSeconds = 3650 * daySeconds;

/** `wrongShape`: the reason for refusing a number with decimals. */
function number(
  [min, max]: readonly [number, number],
  shape: RegExp,
  takes: string,
  wrongShape = takes,
): Kind<number> {
  return {
    takes,
    parse(text) {
      const value = shape.test(text) ? Number(text) : NaN;
      if (value >= min && value <= max) return value;
      return new Refusal(`must be ${/^\d*\.\d+$/.test(text) ? wrongShape : takes}`);
    },
  };
}

export function integer(min: number, max: number, unit?: string): Kind<number> {
  const takes = unit === undefined ? `${min}–${max}` : `${min}–${max} ${unit}`;
  return number([min, max], /^\d+$/, takes, `a whole number, ${takes}`);
}

export function decimal(min: number, max: number): Kind<number> {
  return number([min, max], /^(\d+(\.\d+)?|\.\d+)$/, `a number from ${min} to ${max}`);
}

export function seconds(min: number, max: number): Kind<number> {
  const takes = `${min}–${max} seconds`;
  const shape = /^(\d+(\.\d{1,3})?|\.\d{1,3})$/;
  return number([min, max], shape, takes, `${takes} with at most 3 decimals`);
}

const workerCount = integer(1, 256);
/** Whether "auto" means one process depends on the machine. */
export const workers: Kind<number | 'auto'> = {
  takes: `${workerCount.takes} or auto`,
  parse(text) {
    if (text.toLowerCase() === 'auto') return 'auto';
    const count = workerCount.parse(text);
    return count instanceof Refusal ? new Refusal(`must be ${this.takes}`) : count;
  },
};

export const yesOrNo: Kind<boolean> = {
  takes: 'true or false',
  parse(text) {
    if (/^(true|1|yes|on)$/i.test(text)) return true;
    if (/^(false|0|no|off)$/i.test(text)) return false;
    return new Refusal('must be true or false');
  },
};

export function oneOf<const T extends string>(...words: readonly T[]): Kind<T> {
  const takes = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  return {
    takes,
    parse: (text) =>
      words.find((word) => word === text.toLowerCase()) ?? new Refusal(`must be ${takes}`),
  };
}

function matching(takes: string, isRight: (text: string) => boolean): Kind<string> {
  return { takes, parse: (text) => (isRight(text) ? text : new Refusal(`must be ${takes}`)) };
}

export function listOf<T>(
  item: Kind<T>,
  takes = `${item.takes}; several separated by commas`,
): Kind<readonly T[]> {
  return {
    takes,
    secret: item.secret ?? false,
    parse(text) {
      const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '');
      // An empty list is refused. Otherwise "," would open an allow-list to everyone.
      if (parts.length === 0) return new Refusal('must name at least one');
      const values = new Set<T>();
      for (const part of parts) {
        const value = item.parse(part);
        if (value instanceof Refusal) return value;
        values.add(value);
      }
      return [...values];
    },
  };
}

/** Unicode's category Cc. */
export const control = /[\0-\x1f\x7f-\x9f]/;
const invisible = lazyPattern(String.raw`[\s\p{Cc}\p{Cf}]`, 'u');

function hasInvisible(value: string): boolean {
  return !/^[\x21-\x7e]*$/.test(value) && invisible().test(value);
}

export const text = matching('a line of text', (value) => !control.test(value));
const PRODUCTION = 'production';
/** For `NODE_ENV`: whether it is the one name that matters here. A misspelt one is refused. */
export const production: Kind<boolean> = {
  takes: text.takes,
  parse(name) {
    const parsed = text.parse(name);
    if (parsed instanceof Refusal) return parsed;
    const lower = parsed.toLowerCase();
    const isMeant = lower === 'prod' || nearestName(lower, [PRODUCTION], 2) !== undefined;
    const isExact = parsed === PRODUCTION;
    if (isExact || !isMeant) return isExact;
    return new Refusal(`is "${parsed}": did you mean "${PRODUCTION}"?`, true);
  },
};
export const word = matching('one word', (value) => !hasInvisible(value));
export const model = matching('provider:model, for example openai:gpt-6-luna', (value) =>
  /^[a-z][a-z0-9_-]*:[^\s,]+$/i.test(value),
);

export const host: Kind<string> = {
  takes: 'a host name or an IP address, without a port',
  parse(value) {
    const name = value.replace(/^\[(.*)\]$/, '$1');
    // `isIPv6` comes last: its first call compiles a large regular expression, and most hosts do
    // not need it.
    return /^[a-z0-9_][a-z0-9._-]*$/i.test(name) || isIPv6(name)
      ? name
      : new Refusal(`must be ${this.takes}`);
  },
};

export const route: Kind<string> = {
  takes: 'a path that starts with /',
  parse(path) {
    if (!path.startsWith('/')) return new Refusal('must start with /');
    if (path.includes('//')) return new Refusal('must not contain //');
    // A client resolves these before sending. It also encodes some characters, and a router reads
    // others as a pattern. No request could match such a path as written.
    if (/\/\.\.?(\/|$)/.test(path)) return new Refusal('must not contain /./ or /../');
    return /^[\w\-.~!$&'()+,;=@/]+$/.test(path)
      ? path
      : new Refusal('must not contain : * ? # % or anything a URL would encode');
  },
};

const ONCE_CLAIMS = /^(stored|fsynced|replicated(?::([1-9]\d?))?)$/;

/** How safe a claim of a tool that acts once must be. */
export const onceClaims: Kind<{ readonly replicas: number; readonly isOnDisk: boolean }> = {
  takes: 'stored, fsynced, replicated or replicated:<number>',
  parse(value) {
    const [, word, count = '1'] = ONCE_CLAIMS.exec(value.toLowerCase()) ?? [];
    if (word === undefined) return new Refusal(`must be ${this.takes}`);
    const replicas = word.startsWith('replicated') ? Number(count) : 0;
    return { replicas, isOnDisk: word === 'fsynced' };
  },
};

/** `openStore` opens the named store. */
export const store: Kind<string> = {
  takes: 'memory, sqlite:<path> or redis://<host>',
  parse(value) {
    if (value.toLowerCase() === 'memory') return 'memory';
    if (/^rediss?(\+sentinel)?:\/\//.test(value) && !/[\s\0-\x1f\x7f-\x9f]/.test(value))
      return value;
    return pathAfter('sqlite:', value, this.takes);
  },
};

/** `openCallRecords` opens the named records. */
export const records: Kind<string> = {
  takes: 'store or file:<path>',
  parse(value) {
    if (value.toLowerCase() === 'store') return 'store';
    const named = pathAfter('file:', value, this.takes);
    const isFolder = typeof named === 'string' && /(^file:|\/)\.{0,2}$/.test(named);
    return isFolder ? new Refusal('must name a file, not a folder') : named;
  },
};

/** The value with its scheme in lower case, if a path follows. */
function pathAfter(scheme: string, value: string, takes: string): string | Refusal {
  const path = value.slice(scheme.length);
  const isNamed = value.toLowerCase().startsWith(scheme) && path !== '' && !control.test(path);
  if (!isNamed) return new Refusal(`must be ${takes}`);
  if (path.startsWith('//')) return new Refusal(`must be ${scheme}<path>, without //`);
  return scheme + path;
}

export const httpUrl: Kind<string> = {
  takes: 'an http:// or https:// URL',
  parse(value) {
    const url = /^https?:\/\//i.test(value) && URL.canParse(value) ? new URL(value) : undefined;
    if (url === undefined) return new Refusal(`must be ${this.takes}`);
    if (url.username !== '' || url.password !== '') {
      return new Refusal('must be a URL without user name or password');
    }
    if (/[?#]/.test(value)) return new Refusal('must be a URL without ? or #');
    return url.href.replace(/\/+$/, '');
  },
};

/**
 * Also accepts `capacitor://localhost` and the like: an app's web view sends its own scheme, for
 * which `URL` reports the origin "null".
 */
const origin: Kind<string> = {
  takes: '* or an origin like https://app.example',
  parse(value) {
    if (value === '*') return value;
    if (value.includes('*')) {
      return new Refusal('must list each origin in full: * is only allowed alone');
    }
    if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+\/?$/i.test(value) || !URL.canParse(value)) {
      return new Refusal('must be * or origins like https://app.example, without a path');
    }
    const url = new URL(value);
    return url.origin === 'null' ? `${url.protocol}//${url.host}` : url.origin;
  },
};

export const origins: Kind<readonly string[]> = {
  ...listOf(origin),
  parse(value) {
    const list = listOf(origin).parse(value);
    const isMixed = !(list instanceof Refusal) && list.length > 1 && list.includes('*');
    return isMixed ? new Refusal('must be either * or a list of origins') : list;
  },
};

/** `rule`: the reason for refusing a secret that is not `isRight`. */
function secretKind(
  takes: string,
  isRight: (value: string) => boolean = () => true,
  rule = '',
): Kind<string> {
  return {
    takes,
    secret: true,
    parse(value) {
      if (hasInvisible(value)) {
        return new Refusal('must not contain spaces, line breaks or invisible characters');
      }
      // `docker run --env-file` passes quotes on. Then every signature would be wrong.
      if (/^(["'`]).*\1$/.test(value)) return new Refusal('must not be wrapped in quotes');
      return isRight(value) ? value : new Refusal(rule);
    },
  };
}

export const webhookSecret = secretKind('a signing secret');
export const encryptionKey = secretKind('a random key of at least 32 characters',
  ({ length }) => length >= 32, 'must have at least 32 characters');
/** No minimum length: local model servers accept "x". */
export const apiKey = secretKind('a key',
  (value) => /^[\x21-\x7e]+$/.test(value), 'must be plain ASCII: it is sent in a header');

/**
 * Shortest secret that the log redacts, in UTF-16 code units. A shorter one would also blot out
 * ordinary words. The platform's secrets are far longer.
 */
export const minRedactedLength = 6;
