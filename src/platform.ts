// layercode-microserver/platform
export { LocalPlatform, type LocalPlatformOptions } from './kit/platform/local-platform.ts';
