// layercode-microserver/platform
export { LocalPlatform } from './platform/local-platform.ts';
export type { LocalPlatformOptions } from './platform/local-platform.ts';
