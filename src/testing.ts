// layercode-microserver/testing
export { createTestClient, TestClient, TestReply } from './testing/test-client.ts';
export type { PostOptions, TestClientOptions, TestEvent } from './testing/test-client.ts';
