/** Tests of the rules themselves: each rule detects violations, or the suite would pass without checking anything. */
import { assert, describe, it } from "@effect/vitest"
import type * as connector from "../support/connector.ts"
import * as rules from "./rules.ts"

const at = 1_767_225_600_000

const catalog = (sync_mode = "incremental", ...names: ReadonlyArray<string>): rules.Catalog => ({
  streams: (names.length === 0 ? ["a"] : names).map((name) => ({
    stream: {
      name,
      json_schema: {
        type: "object",
        properties: {
          time: { type: "string", format: "date-time" },
          series_id: { type: "string" },
          value: { type: ["number", "null"] }
        }
      }
    },
    sync_mode
  }))
})

const status = (status: string, name = "a", more: object = {}) => ({
  type: "TRACE",
  trace: {
    type: "STREAM_STATUS",
    emitted_at: at,
    stream_status: { stream_descriptor: { name }, status, ...more }
  }
})
const record = (more: object = {}, stream = "a") => ({
  type: "RECORD",
  record: {
    stream,
    emitted_at: at,
    data: { time: "2026-01-01T00:00:00Z", series_id: "f00d", value: 1, ...more }
  }
})
const state = (
  recordCount: unknown,
  stream_state: object = { time: "2026-01-01T00:00:00Z" },
  name = "a"
) => ({
  type: "STATE",
  state: {
    type: "STREAM",
    stream: { stream_descriptor: { name }, stream_state },
    sourceStats: { recordCount }
  }
})
const error = (message: string, more: object = {}) => ({
  type: "TRACE",
  trace: { type: "ERROR", emitted_at: at, error: { message, failure_type: "config_error", ...more } }
})
const log = { type: "LOG", log: { level: "INFO", message: "hello" } }
const estimate = {
  type: "TRACE",
  trace: {
    type: "ESTIMATE",
    emitted_at: at,
    estimate: { name: "a", type: "STREAM", row_estimate: 1, byte_estimate: 1 }
  }
}
const limited = {
  reasons: [{ type: "RATE_LIMITED", rate_limited: { quota_reset: at } }]
}

const started = status("STARTED")
const running = status("RUNNING")
const complete = status("COMPLETE")
const incomplete = status("INCOMPLETE")
const ofA = { stream_descriptor: { name: "a" } }

/** The output of a process that printed these messages, or this text. */
const run = (
  messages: ReadonlyArray<object> | string,
  { code = 0, signal = null, stderr = "" }: Partial<connector.Output> = {}
): connector.Output => ({
  code,
  signal,
  stderr,
  stdout:
    typeof messages === "string"
      ? messages
      : messages.map((message) => `${JSON.stringify(message)}\n`).join(""),
  messages: [],
  records: [],
  states: [],
  errors: [],
  statuses: [],
  logs: []
})

describe("checkLines", () => {
  const passing: ReadonlyArray<readonly [what: string, messages: ReadonlyArray<object> | string]> = [
    ["nothing", []],
    [
      "one of each",
      [
        started,
        running,
        record(),
        state(1),
        complete,
        log,
        estimate,
        error("x", ofA),
        status("RUNNING", "a", limited)
      ]
    ],
    ["the output of check", [{ type: "CONNECTION_STATUS", connectionStatus: { status: "SUCCEEDED" } }]]
  ]
  it.each(passing)("passes %s", (_what, messages) => {
    assert.doesNotThrow(() => rules.checkLines(run(messages)))
  })

  it("passes a partial last line only if the process was stopped", () => {
    const half = `${JSON.stringify(log)}\n{"type":"REC`
    assert.doesNotThrow(() => rules.checkLines(run(half, { code: null, signal: "SIGTERM" })))
    assert.throws(() => rules.checkLines(run(half)), /the last line is complete/)
  })

  const broken: ReadonlyArray<
    readonly [what: string, messages: ReadonlyArray<object> | string, why: RegExp]
  > = [
    ["a line that is not JSON", "hello\n", /it is not JSON/],
    ["an empty line", "\n", /it is not JSON/],
    ["JSON that is not an object", "5\n", /no messages of the type undefined/],
    ["a type that a source does not have", [{ type: "HELLO" }], /no messages of the type HELLO/],
    ["a trace of an unknown type", [{ type: "TRACE", trace: { type: "ANALYTICS" } }], /TRACE ANALYTICS/],
    ["an unknown key of a message", [{ ...log, time: 1 }], /additional properties/],
    [
      "an unknown key of a payload",
      [{ type: "LOG", log: { ...log.log, logger: "x" } }],
      /additional properties/
    ],
    ["a payload under another key", [{ type: "LOG", message: log.log }], /required property 'log'/],
    ["an unknown level", [{ type: "LOG", log: { level: "INFORMATION", message: "x" } }], /level/],
    [
      "a record without data",
      [{ type: "RECORD", record: { stream: "a", emitted_at: at, data: {} } }],
      /fewer than 1/
    ],
    [
      "a record with its emission time in seconds",
      [{ type: "RECORD", record: { ...record().record, emitted_at: at / 1000 } }],
      />=/
    ],
    [
      "a state without its record count",
      [{ type: "STATE", state: { ...state(1).state, sourceStats: {} } }],
      /recordCount/
    ],
    ["a count that is a text", [state("1")], /must be integer/],
    [
      "a state of another type",
      [{ type: "STATE", state: { ...state(1).state, type: "LEGACY" } }],
      /constant/
    ],
    ["a state without content", [state(1, {})], /fewer than 1/],
    ["a status that there is not", [status("DONE")], /allowed values/],
    [
      "two reasons",
      [status("RUNNING", "a", { reasons: [...limited.reasons, ...limited.reasons] })],
      /more than 1/
    ],
    ["no reason in a list of them", [status("RUNNING", "a", { reasons: [] })], /fewer than 1/],
    [
      "an error without a failure type",
      [{ ...error("x"), trace: { ...error("x").trace, error: { message: "x" } } }],
      /failure_type/
    ],
    ["an error that says nothing", [error("")], /fewer than 1/],
    ["a catalog without streams", [{ type: "CATALOG", catalog: { streams: [] } }], /fewer than 1/],
    [
      "an estimate for the sync",
      [{ ...estimate, trace: { ...estimate.trace, estimate: { ...estimate.trace.estimate, type: "SYNC" } } }],
      /constant/
    ]
  ]
  it.each(broken)("rejects %s", (_what, messages, why) => {
    assert.throws(() => rules.checkLines(run(messages)), why)
  })

  it("rejects anything on standard error", () => {
    assert.throws(
      () => rules.checkLines(run([log], { stderr: "(node:1) Warning\n" })),
      /standard error is silent/
    )
  })
})

describe("checkRead", () => {
  const refreshed = { __ab_full_refresh_sync_complete: true }

  it("passes reads that follow all rules", () => {
    const of = (name: string) => [
      status("STARTED", name),
      status("RUNNING", name),
      record({}, name),
      record({}, name),
      state(2, undefined, name)
    ]
    const good: ReadonlyArray<readonly [connector.Output, rules.Catalog]> = [
      [run([]), { streams: [] }],
      [run([log, started, running, estimate, record(), state(1), record(), state(1), complete]), catalog()],
      [
        run([
          started,
          status("RUNNING", "a", limited),
          running,
          status("RUNNING", "a", limited),
          state(0),
          complete
        ]),
        catalog()
      ],
      [run([started, running, record(), state(1), state(0, refreshed), complete]), catalog("full_refresh")],
      [run([...of("a"), ...of("b"), complete, status("COMPLETE", "b")]), catalog("incremental", "a", "b")],
      [
        run(
          [...of("a"), ...of("b"), error("no", ofA), incomplete, status("COMPLETE", "b"), error("a failed")],
          { code: 1 }
        ),
        catalog("incremental", "a", "b")
      ],
      // The entire read fails: open streams end, and there are no messages about streams that had not started.
      [
        run([started, running, record(), incomplete, error("down")], { code: 1 }),
        catalog("incremental", "a", "b")
      ],
      [run([error("wrong password")], { code: 1 }), catalog()],
      [run([started, running, record()], { code: null, signal: "SIGTERM" }), catalog()]
    ]
    for (const [output, streams] of good)
      assert.doesNotThrow(() => rules.checkRead(output, streams), undefined, undefined, output.stdout)
  })

  it("passes any columns of a stream that declares none", () => {
    const bare: rules.Catalog = {
      streams: [{ stream: { name: "a", json_schema: {} }, sync_mode: "incremental" }]
    }
    rules.checkRead(run([started, running, record({ job: "api" }), state(1), complete]), bare)
  })

  const broken: ReadonlyArray<readonly [what: string, messages: ReadonlyArray<object>, why: RegExp]> = [
    [
      "a record before STARTED",
      [record(), started, running, state(1), complete],
      /RECORD of a before STARTED/
    ],
    [
      "a record before RUNNING",
      [started, record(), running, state(1), complete],
      /RECORD of a before RUNNING/
    ],
    [
      "a record after a wait, but before RUNNING",
      [started, status("RUNNING", "a", limited), record(), running, state(1), complete],
      /RECORD of a before RUNNING/
    ],
    ["a state before RUNNING", [started, state(0), running, complete], /STATE of a before RUNNING/],
    [
      "an estimate before RUNNING",
      [started, estimate, running, state(0), complete],
      /ESTIMATE of a before RUNNING/
    ],
    ["a stream that never runs", [started, complete], /COMPLETE of a before RUNNING/],
    ["RUNNING twice", [started, running, running, state(0), complete], /RUNNING once/],
    ["STARTED twice", [started, started, running, state(0), complete], /STARTED once/],
    ["COMPLETE twice", [started, running, state(0), complete, complete], /COMPLETE of a after its end/],
    [
      "COMPLETE after INCOMPLETE",
      [started, running, state(0), incomplete, complete],
      /COMPLETE of a after its end/
    ],
    [
      "a record after COMPLETE",
      [started, running, state(0), complete, record()],
      /RECORD of a after its end/
    ],
    ["a state after COMPLETE", [started, running, state(0), complete, state(0)], /STATE of a after its end/],
    [
      "a stream's error after its end",
      [started, running, state(0), incomplete, error("x", ofA)],
      /ERROR of a after its end/
    ],
    ["no state before COMPLETE", [started, running, complete], /has a STATE before COMPLETE/],
    [
      "a record after the last state",
      [started, running, state(0), record(), complete],
      /no record after its last STATE/
    ],
    ["a count that is too low", [started, running, record(), record(), state(1), complete], /recordCount/],
    [
      "a record count of the entire stream",
      [started, running, record(), state(1), record(), state(2), complete],
      /recordCount/
    ],
    ["a stream that is not in the catalog", [status("STARTED", "b")], /b is in the catalog/],
    [
      "an undeclared column",
      [started, running, record({ job: "api" }), state(1), complete],
      /additional properties/
    ],
    [
      "a value of another type",
      [started, running, record({ value: "1" }), state(1), complete],
      /must be number,null/
    ],
    [
      "an invalid time",
      [started, running, record({ time: "2026-02-30T00:00:00Z" }), state(1), complete],
      /date-time/
    ],
    [
      "a record without its key",
      [started, running, record({ series_id: undefined }), state(1), complete],
      /primary key/
    ],
    ["a catalog in a read", [{ type: "CATALOG", catalog: { streams: [] } }], /to include 'CATALOG'/],
    [
      "an incremental read that ends with the state of a refresh",
      [started, running, state(0, refreshed), complete],
      /state of its sync mode/
    ],
    ["a stream that does not end", [started, running, state(0)], /every stream that was STARTED ends/],
    [
      "a stream that is COMPLETE after its error",
      [started, running, state(0), error("x", ofA), complete],
      /not failed before COMPLETE/
    ]
  ]
  it.each(broken)("rejects %s", (_what, messages, why) => {
    assert.throws(() => rules.checkRead(run(messages), catalog()), why)
  })

  it("rejects a refresh that does not end with the completion state", () => {
    for (const states of [[state(0)], [state(0, refreshed), state(0)]]) {
      assert.throws(
        () => rules.checkRead(run([started, running, ...states, complete]), catalog("full_refresh")),
        /state of its sync mode/
      )
    }
  })

  const good = [started, running, state(0), complete]
  const brokenEnds: ReadonlyArray<
    readonly [what: string, messages: ReadonlyArray<object>, code: number, why: RegExp]
  > = [
    ["exit 0 with an INCOMPLETE stream", [started, running, incomplete], 0, /every stream is COMPLETE/],
    ["exit 0 with a stream that was not read", [], 0, /every stream is COMPLETE/],
    ["exit 0 after an error", [...good, error("x")], 0, /no errors/],
    ["exit 1 without an error", good, 1, /an error is logged/],
    [
      "exit 1 with only a stream's error",
      [started, running, error("x", ofA), incomplete],
      1,
      /the entire read's/
    ],
    [
      "a last error that does not name the stream",
      [started, running, error("x", ofA), incomplete, error("it is over")],
      1,
      /names the failed streams/
    ],
    [
      "a failed stream that does not end",
      [started, running, error("x", ofA), error("a failed")],
      1,
      /every stream that was STARTED ends/
    ],
    ["another exit code", [error("x")], 2, /to equal 1/]
  ]
  it.each(brokenEnds)("rejects %s", (_what, messages, code, why) => {
    assert.throws(() => rules.checkRead(run(messages, { code }), catalog()), why)
  })
})
