import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isSignature, ToolCallSignatures } from '../../../src/core/models/tool-call-signatures.ts';

const UNSIGNED = { google: { thought_signature: 'skip_thought_signature_validator' } };

/** `extra_content` whose JSON has that many characters. */
function signatureOf(length: number): object {
  const frame = JSON.stringify({ google: { thought_signature: '' } }).length;
  return { google: { thought_signature: 's'.repeat(length - frame) } };
}

describe('ToolCallSignatures', () => {
  it('recalls what came with each call of a message', () => {
    const signatures = new ToolCallSignatures();
    signatures.remember('call_1', signatureOf(50));
    signatures.remember('call_2', undefined);
    assert.deepEqual(signatures.recall(['call_1', 'call_2']), [signatureOf(50), undefined]);
  });

  it('has a stand-in for the first call of a message without signatures', () => {
    assert.deepEqual(new ToolCallSignatures().recall(['call_1', 'call_2']), [UNSIGNED, undefined]);
  });

  it('keeps the signatures of the latest 200 calls', () => {
    const signatures = new ToolCallSignatures();
    for (let call = 0; call <= 200; call++) signatures.remember(`call_${call}`, { call });
    assert.deepEqual(signatures.recall(['call_0']), [UNSIGNED]);
    assert.deepEqual(signatures.recall(['call_1']), [{ call: 1 }]);
  });
});

describe('isSignature', () => {
  it('accepts 65,536 characters of JSON, and not 65,537', () => {
    assert.equal(isSignature(signatureOf(65_536)), true);
    assert.equal(isSignature(signatureOf(65_537)), false);
  });
});
