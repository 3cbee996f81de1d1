import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  parseRedisUrl, type RedisTarget,
} from '../../../../src/core/conversations/stores/redis-url.ts';

const PLAIN: RedisTarget = {
  addresses: [{ host: 'cache', port: 6_379 }], sentinelName: undefined, username: undefined,
  password: undefined, database: 0, tls: undefined,
};

describe('parseRedisUrl', () => {
  const read: readonly (readonly [url: string, more: Partial<RedisTarget>])[] = [
    ['redis://cache', {}],
    ['redis://cache/', {}],
    ['redis://cache:6380/3', { addresses: [{ host: 'cache', port: 6_380 }], database: 3 }],
    ['redis://[::1]:7000', { addresses: [{ host: '::1', port: 7_000 }] }],
    ['redis://:secret@cache', { password: 'secret' }],
    ['redis://bot:s%2F%40%3A%C3%A9:c@cache', { username: 'bot', password: 's/@:é:c' }],
    ['redis://p@ss:w@rd@cache', { username: 'p@ss', password: 'w@rd' }],
    ['redis://bot@cache', { username: 'bot' }],
    ['rediss://cache', { tls: {} }],
    ['rediss://cache/1?ca=ca%20file.pem&cert=c.pem&key=k.pem', {
      database: 1, tls: { ca: 'ca file.pem', cert: 'c.pem', key: 'k.pem' },
    }],
    ['redis+sentinel://a,b:5000/main', {
      addresses: [{ host: 'a', port: 26_379 }, { host: 'b', port: 5_000 }], sentinelName: 'main',
    }],
    ['rediss+sentinel://:pw@cache/main/2', {
      addresses: [{ host: 'cache', port: 26_379 }],
      sentinelName: 'main', password: 'pw', database: 2, tls: {},
    }],
  ];
  for (const [url, more] of read)
    it(`reads ${url}`, () => assert.deepEqual(parseRedisUrl(url), { ...PLAIN, ...more }));

  const refused: readonly (readonly [url: string, problem: RegExp])[] = [
    ['http://cache', /^must be redis:\/\/host, /],
    ['redis:cache', /^must be redis:\/\/host, /],
    ['redis://:tips/y@cache', /with "\/", "\?", "#" and "@" in user and password percent-encoded$/],
    ['redis://:tips?y@cache', /percent-encoded$/],
    ['redis://:tips#y@cache', /percent-encoded$/],
    ['redis://', /^has no valid host$/],
    ['redis://tipsy:', /^has no valid host$/],
    ['redis://tipsy:x', /^has no valid host$/],
    ['redis://tipsy:0', /^has a port that is not 1–65535$/],
    ['redis://tipsy:65536', /^has a port that is not 1–65535$/],
    ['redis://tipsy,other', /^has several hosts without \+sentinel; .*client of your own$/],
    ['redis://cache/tipsy', /^must have nothing but the number of a database /],
    ['redis://cache/12tipsy', /^must have nothing but the number of a database /],
    ['redis://cache/1/2', /^must have nothing but the number of a database /],
    ['redis://cache/-1', /^must have nothing but the number of a database /],
    ['redis://:%tipsy@cache', /^has a % that does not begin a percent-encoded character$/],
    ['redis+sentinel://tipsy', /^must name what the sentinels watch: /],
    ['redis://cache?ca=tipsy', /^has ca=… without TLS: rediss:\/\/$/],
    ['rediss://cache?ca=', /^has ca=… without a file$/],
    ['rediss://cache?tipsy=1', /^may have only ca, cert, key after the "\?"$/],
  ];
  for (const [url, problem] of refused) {
    it(`refuses ${url}, and shows nothing of it`, () => {
      assert.throws(() => parseRedisUrl(url), (error: Error) => {
        const prefix = 'CONVERSATION_STORE ';
        assert.equal(error.message.slice(0, prefix.length), prefix);
        assert.match(error.message.slice(prefix.length), problem);
        assert.equal(error.message.includes('tips'), false);
        return true;
      });
    });
  }
});
