/**
 * The mock Prometheus, for tests of programs that read one. It holds series in memory and evaluates queries as Prometheus does.
 * `layerMock` replaces the server within the process, `mockServer` listens on a loopback socket, and `faults` injects failures.
 */

// The mock and its data.

export { type GenerateOptions, generate } from "./mock/generate.ts"
export type { LabelsInput } from "./mock/MockLabels.ts"
export {
  type MockOptions,
  MockPrometheus,
  type ReceivedRequest
} from "./mock/MockPrometheus.ts"
export {
  type FamilyMetadata,
  type MockDatabase,
  type MockSeries,
  type MockValue,
  makeDatabase,
  makeSeries
} from "./mock/MockSeries.ts"
export type {
  MockAlert,
  MockAlertingRule,
  MockExemplar,
  MockRecordingRule,
  MockRuleGroup,
  MockTables,
  MockTarget
} from "./mock/MockTables.ts"

// The transports.

export { layer as layerMockHttpClient, layerClient as layerMock } from "./mock/MockHttpClient.ts"
export { type MockServer, make as mockServer } from "./mock/MockServer.ts"

// Injected failures.

export { anyOf, type Faults, firstTries, onMetric, onPath, refusal } from "./mock/faults.ts"
export type { Fault, MockRequest, MockResponse } from "./mock/http.ts"

// What a remote read requested.

export { isRead, parseReadRequest, type ReadQuery, type ReadRequest } from "./mock/readRequest.ts"
