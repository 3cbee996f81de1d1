// Who gets a session key. Loaded with the first request for one.

import { afterChecks, type Handler } from '../../base/http/compose.ts';
import { authorize } from '../../core/wires/layercode/authorize.ts';
import { RestClient } from '../../core/wires/layercode/rest-client.ts';
import { signedIfAtAll } from '../../core/wires/layercode/signed.ts';
import { allowedOrigins } from '../middleware/cors.ts';
import { localOnly } from '../middleware/local-only.ts';
import type { AppParts } from './app-parts.ts';

/**
 * Signed requests pass too. The local platform's keys open only sockets on this machine, so only
 * this machine gets one.
 */
export function authorizeRoute(
  { settings, platform, fetch }: Pick<AppParts, 'settings' | 'platform' | 'fetch'>,
  secrets: readonly string[],
): Handler {
  const { layercodeApiKey: apiKey, layercodeApiUrl: url } = settings;
  const layercode = apiKey === undefined
    ? undefined
    : new RestClient({ url, apiKey, fetch });
  const checks = layercode === undefined && platform !== undefined ? [localOnly()] : [];
  return afterChecks(checks, signedIfAtAll(secrets, authorize({
    platform: layercode ?? platform,
    agentIds: settings.layercodeAgentIds,
    origins: allowedOrigins(settings),
  })));
}
