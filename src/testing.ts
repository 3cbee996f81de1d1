// layercode-microserver/testing
export { createTestClient, TestClient, TestReply } from './test-client.ts';
export type { PostOptions, TestClientOptions, TestEvent } from './test-client.ts';
