import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  parseWireFlags, type WireFlags, type WireSwitches,
} from '../../../src/kit/talk/wire-flags.ts';

const NONE: WireSwitches = new Set();
const COMPLETIONS: WireFlags = { '--wire': 'chat-completions' };

describe('parseWireFlags', () => {
  it('assumes LayerCode\'s wire if none is named', () => {
    assert.equal(parseWireFlags({}, NONE), undefined);
    assert.equal(parseWireFlags({ '--wire': 'layercode', '--secret': 's' }, NONE), undefined);
  });

  it('reads the flags of Chat Completions', () => {
    const flags: WireFlags = { ...COMPLETIONS, '--profile': 'vapi', '--key': 'k' };
    assert.deepEqual(parseWireFlags(flags, new Set(['--speculate'])), {
      profile: 'vapi', key: 'k', isRetrying: false, isSpeculating: true,
    });
  });

  const refused: readonly (readonly [WireFlags, WireSwitches, message: string])[] = [
    [
      { '--wire': 'completions' },
      NONE,
      '--wire must be one of layercode, chat-completions, got "completions"; '
        + 'did you mean chat-completions?',
    ],
    [
      { ...COMPLETIONS, '--profile': 'vappi' },
      NONE,
      '--profile must be one of generic, vapi, elevenlabs, livekit, cartesia, got "vappi"; '
        + 'did you mean vapi?',
    ],
    [
      { ...COMPLETIONS, '--profile': 'constructor' },
      NONE,
      '--profile must be one of generic, vapi, elevenlabs, livekit, cartesia, got "constructor"',
    ],
    [
      { '--key': 'hidden' },
      NONE,
      '--key is for --wire chat-completions; on layercode it is --secret',
    ],
    [
      { ...COMPLETIONS, '--secret': 'hidden' },
      NONE,
      '--secret is for --wire layercode; on chat-completions it is --key',
    ],
    [{ '--profile': 'vapi' }, NONE, '--profile needs --wire chat-completions'],
    [{}, new Set(['--retry']), '--retry needs --wire chat-completions'],
  ];
  for (const [flags, switches, message] of refused) {
    const given = [...Object.entries(flags).flat(), ...switches].join(' ');
    it(`refuses ${given}, and says why`, () => {
      assert.throws(() => parseWireFlags(flags, switches), { name: 'UsageError', message });
    });
  }
});
