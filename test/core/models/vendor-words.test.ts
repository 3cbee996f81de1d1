import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { vendorWord } from '../../../src/core/models/vendor-words.ts';

describe('vendorWord', () => {
  // developers.openai.com/api/docs/guides/error-codes, platform.claude.com/docs/en/api/errors,
  // cloud.google.com/apis/design/errors, docs.mistral.ai/resources/error-glossary,
  // console.groq.com/docs/errors, openrouter.ai/docs (APIErrorType), vLLM
  const shown = [
    'invalid_request_error', 'insufficient_quota', 'rate_limit_exceeded', 'requests', 'tokens',
    'context_length_exceeded', 'model_not_found', 'invalid_api_key', 'server_error', 'slow_down',
    'server_is_overloaded', 'credit_balance_exhausted', 'project_spend_limit_exceeded',
    'unsupported_value', 'unknown_parameter', 'unsupported_country_region_territory',
    'overloaded_error', 'not_found_error', 'request_too_large', 'api_error', 'timeout_error',
    'INVALID_ARGUMENT', 'RESOURCE_EXHAUSTED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL',
    'extra_forbidden', 'unknown_model', 'string_type', 'missing', 'tool_use_failed',
    'json_validate_failed', 'model_decommissioned', 'string_too_long', 'content_policy_violation',
    'InternalServerError', 'BadRequestError', 'NotFoundError', 'APIError', 'stop', 'length',
    'content_filter', 'insufficient_system_resource', 'MALFORMED_FUNCTION_CALL', 'queue.full',
  ];
  it('shows the words of vendors', () =>
    assert.deepEqual(shown.map(vendorWord), shown));

  const hidden: readonly (readonly [what: string, value: unknown])[] = [
    ['a word from the caller', 'Fritz'],
    ['a word from the caller among terms', 'invalid_fritz_error'],
    ['a word from the caller in a compound', 'InvalidFritzError'],
    ['a sentence of terms', 'the request is invalid'],
    ['a card number', '4711'],
    ['a number after terms', 'invalid_request_4711'],
    ['a path into the request', 'messages[3].content'],
    ['a key', 'sk-secret-1234567890'],
    ['a word in another script', 'ошибка'],
    ['an empty string', ''],
    ['a number', 500],
    ['null', null],
  ];
  for (const [what, value] of hidden) {
    it(`hides ${what}`, () => assert.equal(vendorWord(value), ''));
  }

  it('shows exactly 64 characters, and hides 65', () => {
    const longest = `${'error_'.repeat(9)}completion`;
    assert.equal(vendorWord(longest), longest);
    assert.equal(vendorWord(`${'error_'.repeat(10)}error`), '');
  });
});
