/** @import { JsonObject } from '../../src/base/json.ts' */

/**
 * Who is calling, as told in the request for a session.
 *
 * @typedef {object} Caller
 * @property {string} [agent_id] which of several agents is called; default the first
 * @property {'layercode' | 'chat-completions'} [wire] default `layercode`
 * @property {string} [profile] the platform whose Chat Completions are spoken
 * @property {string} [from_phone_number]
 * @property {JsonObject} [custom_metadata]
 */

/**
 * Reads who is calling from the page's fields.
 *
 * @param {HTMLInputElement} number
 * @param {HTMLTextAreaElement} metadata
 * @returns {Caller | undefined} undefined if the metadata is not a JSON object
 */
export function readCaller(number, metadata) {
  const object = parseMetadata(metadata.value);
  metadata.setCustomValidity(
    object === undefined
      ? 'custom_metadata must be a JSON object, for example {"plan": "gold"}'
      : '',
  );
  metadata.setAttribute('aria-invalid', String(object === undefined));
  if (object === undefined) return undefined;
  const digits = number.value.trim();
  return {
    ...(digits === '' ? {} : { from_phone_number: digits }),
    ...(Object.keys(object).length === 0 ? {} : { custom_metadata: object }),
  };
}

/** @param {string} text @returns {JsonObject | undefined} */
function parseMetadata(text) {
  if (text.trim() === '') return {};
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined; // the field says so
  }
}
