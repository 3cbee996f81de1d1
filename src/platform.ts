// layercode-microserver/platform
export { LocalPlatform } from './kit/platform/local-platform.ts';
export type { LocalPlatformOptions } from './kit/platform/local-platform.ts';
