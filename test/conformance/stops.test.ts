/** How a read ends when it is stopped by a signal, when its output is closed, or when its output is not read for a while. */
import { spawn } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { constants } from "node:os"
import { setImmediate, setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Block, blockable } from "../support/blockedLoop.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { onMetric, pointsOf, refusal, serve } from "../support/mockServer.ts"
import { assertSameRows, type Connection, Destination, outputOfKilled } from "./destination.ts"
import * as rules from "./rules.ts"

const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

const now = Effect.sync(() => performance.now())

/** PyAirbyte kills a read ten seconds after the signal: the read must end well before that. */
const SOON = 8000

/** Airbyte treats these as a stop, PyAirbyte all except 143. */
const assertCleanEnd = ({ code, signal }: child.ChildResult): void =>
  assert.isTrue(signal === "SIGTERM" || code === 0 || code === 143, `it ended with ${signal ?? code}`)

/** Starts a read, and ends it in the given way once so many characters of its output have arrived. */
const endAfter = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  characters: number,
  end: (running: child.RunningChild) => void
) {
  const running = yield* child.start(args)
  const { stdout } = running.process
  yield* Effect.callback<void>((resume) => {
    let seen = 0
    const count = (chunk: string): void => {
      seen += chunk.length
      if (seen < characters) return
      stdout.off("data", count)
      end(running)
      resume(Effect.void)
    }
    stdout.on("data", count).once("close", () => resume(Effect.void))
  })
  const before = yield* now
  const result = yield* running.result
  assert.isBelow((yield* now) - before, SOON)
  return result
})

const byClosing = (running: child.RunningChild): void => {
  running.process.stdout.destroy()
}

// Concurrent: most of the time is waiting.
describe("a read that is stopped", { concurrent: true }, () => {
  const SERIES = { one: 1, two: 2, three: 3, five: 5, eight: 8 }
  const MINUTES = 1000

  const stops = [
    { how: "SIGTERM", end: (running: child.RunningChild) => running.kill("SIGTERM") },
    { how: "SIGINT", end: (running: child.RunningChild) => running.kill("SIGINT") },
    { how: "SIGKILL", end: (running: child.RunningChild) => running.kill("SIGKILL") },
    { how: "EPIPE", end: byClosing }
  ] as const

  /** In characters, of about three million: at the first message, after the first states, in the middle of streams. */
  const moments = [1, 300_000, 1_200_000]

  for (const { end, how } of stops) {
    it.live(`by ${how} leaves complete lines and a state from which exactly the rest is read`, () =>
      Effect.gen(function* () {
        // Windows are small until the read is stopped, so that there are states. The second read has no limit.
        let isLimited = true
        const { config } = yield* serve(
          Object.entries(SERIES).flatMap(([name, count]) => gauge(name, MINUTES, count)),
          MINUTES,
          { faults: (request) => (isLimited && pointsOf(request) > 50 ? refusal : undefined) }
        )
        const files = yield* connector.workspace
        const streams = yield* connector.discover(files, config)
        const connection: Connection = {
          streams: connector.configure(streams, "incremental").streams.map((stream) => ({
            ...stream,
            sync_mode: "incremental",
            destination_sync_mode: "append"
          }))
        }
        let states = 0
        for (const moment of moments) {
          isLimited = true
          const result = yield* endAfter(connector.readArgs(files, config, connection), moment, end)
          const stopped = outputOfKilled(result)
          rules.checkLines(stopped)
          rules.checkRead({ ...stopped, signal: "SIGTERM" }, connection)
          if (how === "SIGINT" || how === "SIGKILL") assert.strictEqual(result.signal, how)
          else assertCleanEnd(result)
          if (how === "SIGTERM" || how === "SIGINT")
            assert.isTrue(result.stdout.endsWith("\n"), "complete lines")
          assert.notInclude(stopped.statuses, "eight:COMPLETE", "it was stopped midway")
          states += stopped.states.length

          // The destination does not contain records after the last states: they must be read again.
          isLimited = false
          const destination = new Destination()
          destination.load(stopped.stdout, connection)
          const rest = yield* connector.read(files, config, connection, destination.states)
          assert.deepStrictEqual([rest.code, rest.stderr], [0, ""])
          destination.load(rest.stdout, connection)
          for (const [name, count] of Object.entries(SERIES)) {
            const keys = destination.rows(name).map(({ data }) => `${data.n} ${data.time} ${data.value}`)
            const all = gauge(name, MINUTES, count).flatMap(({ labels, times, values }) =>
              Array.from(times, (time, i) => {
                const at = new Date(time).toISOString().replace(".000Z", "Z")
                return `${labels.find(([label]) => label === "n")![1]} ${at} ${values[i]}`
              })
            )
            assertSameRows(keys, all, `${name}, stopped after ${moment} characters`)
          }
        }
        assert.isAbove(states, 10, "there were states to resume from")
      })
    )
  }

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(`by ${signal} ends quickly, leaves complete lines, and keeps completed windows`, () =>
      Effect.gen(function* () {
        // The first window is complete; the second never ends.
        const { config } = yield* serve(gauge("m", 2000, 20), 2000, {
          faults: onMetric("m", { stallAfterBytes: 10_000 }, true),
          chunkBytes: 700
        })
        const files = yield* connector.workspace
        const running = yield* child.start(connector.readArgs(files, config, connector.catalogOf("m")))
        yield* running.waitFor(({ type }) => type === "STATE")
        const before = yield* now
        running.kill(signal)
        const result = yield* running.result
        assert.isBelow((yield* now) - before, SOON)
        assert.deepStrictEqual([result.code, result.signal, result.stderr], [null, signal, ""])
        assert.isTrue(result.stdout.endsWith("\n"))
        const output = connector.parseOutput(result)
        const [state] = output.states
        assert.strictEqual(
          output.records.filter(
            ({ data }) => (data.time as string) <= String(state?.stream.stream_state.time)
          ).length,
          state?.sourceStats.recordCount
        )
      })
    )
  }

  it.live("ends quickly, too, while it waits for the server", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5, {
        faults: onMetric("m", { delayMillis: Number.POSITIVE_INFINITY })
      })
      const files = yield* connector.workspace
      const running = yield* child.start(connector.readArgs(files, config, connector.catalogOf("m")))
      yield* running.waitFor(({ type }) => type === "TRACE")
      const before = yield* now
      running.kill("SIGTERM")
      assert.strictEqual((yield* running.result).signal, "SIGTERM")
      assert.isBelow((yield* now) - before, SOON)
    })
  )

  it.live("ends by itself when its output is closed, as by head -1", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 3000, 100), 3000)
      const files = yield* connector.workspace
      const result = yield* endAfter(
        connector.readArgs(files, config, connector.catalogOf("m")),
        1,
        byClosing
      )
      assert.strictEqual(result.stderr, "")
      assertCleanEnd(result)
    })
  )

  it.live("ends early, too, when it prints little", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 60 }, (_, i) => `m${i}`)
      const { config, mock } = yield* serve(
        names.flatMap((name) => gauge(name, 5)),
        5,
        { faults: ({ path }) => (path === "/api/v1/query_range" ? { delayMillis: 200 } : undefined) },
        { concurrency: 1 }
      )
      const files = yield* connector.workspace
      const result = yield* endAfter(
        connector.readArgs(files, config, connector.catalogOf(...names)),
        1,
        byClosing
      )
      assert.strictEqual(result.stderr, "")
      assertCleanEnd(result)
      assert.isBelow(mock.requests.length, 30)
    })
  )
})

/** Starts a read and waits for its first bytes, but consumes no output until `stdout` is read. */
const startUnread = Effect.fnUntraced(function* (args: ReadonlyArray<string>) {
  const process_ = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [executable, ...args], { stdio: ["ignore", "pipe", "pipe"] })),
    (process_) =>
      Effect.sync(() => {
        process_.kill("SIGKILL")
        process_.stdout.destroy()
      })
  )
  let stderr = ""
  process_.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const ended = new Promise<readonly [code: number | null, signal: NodeJS.Signals | null, stderr: string]>(
    (resolve) => process_.once("exit", (code, signal) => resolve([code, signal, stderr]))
  )
  // This never takes more than the stream's own buffer.
  yield* Effect.callback<void>((resume) => {
    process_.stdout.once("readable", () => resume(Effect.void))
    process_.once("exit", () => resume(Effect.void))
  })
  return { process: process_, ended: Effect.promise(() => ended) }
})

describe("a reader that consumes nothing", { concurrent: true }, () => {
  it.live("delays a stop by no more than the grace period, with or without a second signal", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 3000, 50), 3000)
      const files = yield* connector.workspace
      const args = connector.readArgs(files, config, connector.catalogOf("m"))
      const stop = Effect.fnUntraced(function* (signals: ReadonlyArray<NodeJS.Signals>) {
        const stuck = yield* startUnread(args)
        const before = yield* now
        for (const signal of signals) {
          stuck.process.kill(signal)
          yield* Effect.promise(() => handled(stuck.process.pid!, signal))
        }
        // It is terminated by the first signal that it handles, immediately or after the grace period of two seconds. If
        // there are two different signals, the kernel and the threads decide which one comes first.
        const [code, signal, stderr] = yield* stuck.ended
        assert.deepStrictEqual([code, stderr], [null, ""], signals.join(", then "))
        assert.include(signals, signal)
        assert.isBelow((yield* now) - before, SOON)
      }, Effect.scoped)
      const cases: ReadonlyArray<ReadonlyArray<NodeJS.Signals>> = [
        ["SIGTERM"],
        ["SIGTERM", "SIGTERM"],
        ["SIGINT", "SIGINT"],
        ["SIGTERM", "SIGINT"],
        ["SIGINT", "SIGTERM"]
      ]
      yield* Effect.forEach(cases, stop, { concurrency: 5, discard: true })
    })
  )

  it.live.runIf(process.platform === "linux")(
    "for ten seconds causes neither memory growth nor requests, and then gets everything",
    () =>
      Effect.gen(function* () {
        const SERIES = 200
        const MINUTES = 10_000
        const { config, mock } = yield* serve(gauge("m", MINUTES, SERIES), MINUTES)
        const files = yield* connector.workspace
        const slow = yield* startUnread(connector.readArgs(files, config, connector.catalogOf("m")))
        const windows = () =>
          mock.requests.filter(({ path }) => path === "/api/v1/query_range" || path === "/api/v1/read").length
        const use = (): Use => ({ memory: peakMegabytes(slow.process.pid!), windows: windows() })
        const seen = new Uint8Array(SERIES * MINUTES)
        const taken = { records: 0, different: 0, confirmed: 0 }
        const pause: Array<Use> = []
        const read = takeLines(slow.process.stdout, (line) => {
          const { record, state, type } = JSON.parse(line) as Line
          if (type === "STATE") taken.confirmed += state.sourceStats.recordCount
          if (type !== "RECORD") return undefined
          taken.records++
          const at = Number(record.data.n) * MINUTES + (Date.parse(record.data.time) - start) / minute
          if (seen[at] === 0) taken.different++
          seen[at] = 1
          // By then, windows have reached their maximum size.
          if (taken.records !== (SERIES * MINUTES) / 5) return undefined
          pause.push(use())
          return setTimeout(10_000).then(() => {
            pause.push(use())
          })
        })
        yield* Effect.promise(() => read)
        const all = SERIES * MINUTES
        assert.deepStrictEqual(taken, { records: all, different: all, confirmed: all })
        assert.deepStrictEqual(yield* slow.ended, [0, null, ""])
        const [before, after] = pause as [Use, Use]
        assert.isBelow(after.memory - before.memory, 64)
        // Three windows are requested ahead of the blocked one.
        assert.isAtMost(after.windows - before.windows, 3)
        assert.isAtLeast(windows() - after.windows, 2, "there was more to ask for")
      })
  )
})

describe("a stop while the event loop is blocked", { concurrent: true }, () => {
  /** A server that never responds, so that its reader waits and can be blocked. */
  const serveNothing = serve(gauge("m", 5), 5, {
    faults: () => ({ delayMillis: Number.POSITIVE_INFINITY })
  })

  /** Blocks the event loop of a program that waits for its server, and sends signals. Returns how it ended. */
  const stopBlocked = Effect.fnUntraced(function* (
    block: Block,
    signals: ReadonlyArray<NodeJS.Signals>,
    argsOf: (files: connector.Workspace, config: object) => ReadonlyArray<string>
  ) {
    const { config } = yield* serveNothing
    const files = yield* connector.workspace
    const blocking = blockable(files, block)
    const running = yield* child.start(argsOf(files, config), { nodeOptions: blocking.nodeOptions })
    yield* Effect.raceFirst(blocking.blocked, running.result)
    const before = yield* now
    for (const signal of signals) {
      running.kill(signal)
      yield* Effect.sleep("100 millis")
    }
    const result = yield* running.result
    return { result, millis: (yield* now) - before }
  })

  const readM = (files: connector.Workspace, config: object) =>
    connector.readArgs(files, config, connector.catalogOf("m"))

  const withConfig = (verb: string) => (files: connector.Workspace, config: object) => [
    verb,
    "--config",
    files.write("config.json", config)
  ]

  const cases: ReadonlyArray<{
    readonly verb: string
    readonly block: Block
    readonly argsOf: Parameters<typeof stopBlocked>[2]
  }> = [
    { verb: "read", block: "a loop", argsOf: readM },
    { verb: "read", block: "a regular expression", argsOf: readM },
    { verb: "read", block: "a lock", argsOf: readM },
    { verb: "read", block: "a system call", argsOf: readM },
    { verb: "discover", block: "a loop", argsOf: withConfig("discover") },
    { verb: "check", block: "a regular expression", argsOf: withConfig("check") }
  ]

  for (const { argsOf, block, verb } of cases) {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      it.live(`by ${block}: ${verb} ends by ${signal}, silently`, () =>
        Effect.gen(function* () {
          const { millis, result } = yield* stopBlocked(block, [signal], argsOf)
          // A system call that does not return leaves only SIGKILL.
          const expected = block === "a system call" ? "SIGKILL" : signal
          assert.deepStrictEqual([result.code, result.signal, result.stderr], [null, expected, ""])
          assert.isTrue(result.stdout === "" || result.stdout.endsWith("\n"), "complete lines")
          assert.isBelow(millis, SOON)
        })
      )
    }
  }

  it.live("ends by the first of two signals", () =>
    Effect.gen(function* () {
      const { millis, result } = yield* stopBlocked("a loop", ["SIGINT", "SIGTERM"], readM)
      assert.deepStrictEqual([result.code, result.signal, result.stderr], [null, "SIGINT", ""])
      assert.isBelow(millis, SOON)
    })
  )

  it.live("reports in a run that committed data is saved", () =>
    Effect.gen(function* () {
      const { millis, result } = yield* stopBlocked("a loop", ["SIGINT"], (files, config) => [
        ...withConfig("run")(files, config),
        "--to",
        `jsonl:${files.path("data")}`
      ])
      assert.deepStrictEqual([result.code, result.signal, result.stdout], [null, "SIGINT", ""])
      assert.strictEqual(
        result.stderr,
        "Stopped immediately. All committed data is saved, and the same command resumes from there.\n"
      )
      assert.isBelow(millis, SOON)
    })
  )
})

interface Line {
  readonly type: string
  readonly record: { readonly data: { readonly n: string; readonly time: string } }
  readonly state: connector.StateOfStream
}

/** What a process has used so far: its peak memory in megabytes, and the number of requested windows. */
interface Use {
  readonly memory: number
  readonly windows: number
}

/** Waits until a process has received a signal: before that, sending the same signal again would have no effect. */
const handled = async (pid: number, signal: NodeJS.Signals): Promise<void> => {
  const bit = 1n << BigInt(constants.signals[signal] - 1)
  const isPending = (): boolean => {
    const path = `/proc/${pid}/status`
    const [, mask] = (existsSync(path) && /^ShdPnd:\s+(\w+)$/m.exec(readFileSync(path, "utf8"))) || []
    return mask !== undefined && (BigInt(`0x${mask}`) & bit) !== 0n
  }
  while (isPending()) await setImmediate()
}

/** The peak memory of a process so far. */
const peakMegabytes = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024

/** Yields a stream's lines one by one; nothing is read while the consumer is busy. */
const takeLines = async (
  stream: NodeJS.ReadableStream,
  take: (line: string) => Promise<void> | undefined
): Promise<void> => {
  let rest = ""
  for await (const chunk of stream.setEncoding("utf8")) {
    const lines = (rest + chunk).split("\n")
    rest = lines.pop()!
    for (const line of lines) {
      const pause = take(line)
      if (pause !== undefined) await pause
    }
  }
  assert.strictEqual(rest, "", "the last line is complete")
}
