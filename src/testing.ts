/**
 * The mock Prometheus, for tests of programs that read one: it holds series in memory and evaluates queries as Prometheus
 * does. `layerMock` puts it in place of the server within the process, `mockServer` on a socket of loopback; `faults`
 * says what goes wrong.
 */

// A mock, and what it holds.

export { type GenerateOptions, generate } from "./mock/generate.ts"
export {
  type MockOptions,
  MockPrometheus,
  type ReceivedRequest
} from "./mock/MockPrometheus.ts"
export {
  type FamilyMetadata,
  type LabelsInput,
  type MockDatabase,
  type MockSeries,
  type MockValue,
  makeDatabase,
  makeSeries
} from "./mock/MockSeries.ts"

// What brings requests to it.

export { layer as layerMock } from "./mock/layer.ts"
export { layer as layerMockHttpClient } from "./mock/MockHttpClient.ts"
export { type MockServer, make as mockServer } from "./mock/MockServer.ts"

// What goes wrong.

export { anyOf, type Faults, firstTries, onMetric, onPath, refusal } from "./mock/faults.ts"
export type { Fault, MockRequest, MockResponse } from "./mock/http.ts"
