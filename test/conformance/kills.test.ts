/**
 * Reads that are killed repeatedly, each after a random number of output bytes, and resumed from the last STATE that was
 * received, until one completes. Nothing is missing and nothing differs. For each stream, only the records after its last
 * STATE are repeated, and these are part of one window.
 *
 * KILL_SEEDS sets the number of seeds, KILL_FIRST_SEED the first one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import { Choices } from "../choices.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso } from "../support/gauge.ts"
import { pointsOf, refusal, serve } from "../support/mockServer.ts"
import { linesOf, stateFile } from "./destination.ts"

const SEEDS = Number(process.env.KILL_SEEDS ?? 3)
const FIRST_SEED = Number(process.env.KILL_FIRST_SEED ?? 1)

/** The number of series of each stream. */
const SERIES = { one: 1, two: 2, five: 5, eight: 8 } as const
type Name = keyof typeof SERIES
const names = Object.keys(SERIES) as ReadonlyArray<Name>

const MINUTES = 300

/** Larger windows are refused, so that there are many windows. */
const MAX_CURVE_POINTS = 20

/** A complete read prints twice as much: so a kill is likely, and states precede it. */
const MAX_BYTES = 500_000

const metricOf = ({ params }: Pick<MockRequest, "params">): string =>
  /"(\w+)"/.exec(params.get("query") ?? "")?.[1] ?? ""

/** What goes wrong with a response, if anything; the same request fails at most twice in a row. */
const randomFault = (choices: Choices, attempt: number): Fault | undefined => {
  if (attempt % 3 === 0 || !choices.oneIn(16)) return undefined
  switch (choices.below(4)) {
    case 0:
      return { reset: true }
    case 1:
      return { status: 503, body: "Service Unavailable" }
    case 2:
      return { body: '{"status":"success","data":{"resultType":"matrix","result":[{"metric"' }
    default:
      return { cutAfterBytes: choices.between(1, 4000) }
  }
}

/** The output of a process that is killed after `bytes` bytes, with or without later bytes; all of it if it is shorter. */
const readAndKill = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  bytes: number,
  isRestLost: boolean
) {
  const running = yield* child.start(args)
  let seen = 0
  running.process.stdout.on("data", (chunk: string) => {
    if (seen < bytes && seen + chunk.length >= bytes) running.kill("SIGKILL")
    seen += chunk.length
  })
  const result = yield* running.result
  const isKilled = result.signal === "SIGKILL"
  if (!isKilled) assert.deepStrictEqual([result.code, result.signal], [0, null])
  assert.strictEqual(result.stderr, "")
  return { isKilled, stdout: isKilled && isRestLost ? result.stdout.slice(0, bytes) : result.stdout }
}, Effect.scoped)

/** What has been received of a stream since the first read. */
class Received {
  /** The text of each record, by primary key. */
  readonly rows = new Map<string, string>()
  total = 0
  /** The keys that the next read must repeat. */
  repeated = 0
  /** Records since the last STATE, and since the refresh began. */
  private sinceState = 0
  private sinceStart = 0
  private isComplete = false
  private inThisRead = new Set<string>()
  state: connector.StateOfStream | undefined

  add(data: Readonly<Record<string, unknown>>, text: string): void {
    const key = `${data.series_id} ${data.time}`
    assert.isFalse(this.inThisRead.has(key), `${key} comes twice in one read`)
    this.inThisRead.add(key)
    assert.strictEqual(this.rows.get(key) ?? text, text)
    this.rows.set(key, text)
    this.total++
    this.sinceState++
    this.sinceStart++
  }

  save(state: connector.StateOfStream): void {
    this.state = state
    this.sinceState = 0
    this.isComplete = state.stream.stream_state.__ab_full_refresh_sync_complete === true
  }

  /** Registers that a read was killed. Returns how many records of the window were lost. */
  kill(): number {
    const lost = this.sinceState
    // A complete refresh restarts.
    const again = this.isComplete ? this.sinceStart : lost
    this.repeated += again
    this.sinceStart -= again
    this.sinceState = 0
    this.isComplete = false
    this.inThisRead = new Set()
    return lost
  }
}

const expectedRows = (name: Name): ReadonlyArray<string> =>
  gauge(name, MINUTES, SERIES[name]).flatMap(({ labels, times, values }) => {
    const n = labels.find(([label]) => label === "n")![1]
    return Array.from(times, (time, i) => `${n} ${iso(time)} ${values[i]}`)
  })

const modes = {
  incremental: undefined,
  full_refresh: 7
} as const

let kills = 0
const killed = { withStates: 0, inAWindow: 0 }

// Concurrent: most of the time is pauses before retries.
describe("a read that is killed at random moments", { concurrent: true }, () => {
  for (const [mode, generation] of Object.entries(modes)) {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      it.live(`loses nothing, and repeats less than a window each time: ${mode}, seed ${seed}`, () =>
        Effect.gen(function* () {
          const choices = new Choices(seed * 1000 + mode.length, Number.POSITIVE_INFINITY)
          const { config, mock } = yield* serve(
            names.flatMap((name) => gauge(name, MINUTES, SERIES[name])),
            MINUTES,
            {
              faults: (request, attempt) =>
                pointsOf(request) > MAX_CURVE_POINTS
                  ? refusal
                  : pointsOf(request) > 0
                    ? randomFault(choices, attempt)
                    : undefined
            }
          )
          const files = yield* connector.workspace
          const streams = yield* connector.discover(files, config)
          const catalog = {
            streams: connector
              .configure(streams, mode as keyof typeof modes)
              .streams.map((stream) => ({ ...stream, generation_id: generation }))
          }
          const args = connector.readArgs(files, config, catalog)
          const received = new Map(names.map((name) => [name as string, new Received()]))

          /** The rows of the largest window of a stream that got a response since a given request. */
          const largestWindow = (name: Name, from: number): number =>
            SERIES[name] *
            Math.max(
              0,
              ...mock.requests
                .slice(from)
                .filter((request) => metricOf(request) === name)
                .map(pointsOf)
                .filter((points) => points <= MAX_CURVE_POINTS)
            )

          for (let reads = 1, isComplete = false; !isComplete; reads++) {
            assert.isAtMost(reads, 50, "a read completes at last")
            const states = stateFile([...received.values()].flatMap(({ state }) => state ?? []))
            const from = mock.requests.length
            const { isKilled, stdout } = yield* readAndKill(
              [...args, "--state", files.write("state.json", states)],
              // Each kill comes later: complete refreshes restart, and the test must terminate.
              choices.between(1, Math.round(MAX_BYTES * (1 + reads / 5))),
              choices.oneIn(2)
            )
            let isInAWindow = false
            for (const line of linesOf(stdout)) {
              const stream = received.get(line.stream)!
              if (line.type === "RECORD") stream.add(line.row.data, line.row.text)
              if (line.type === "STATE") {
                stream.save(line.state)
                if (isKilled) killed.withStates++
              }
            }
            isComplete = !isKilled
            if (isComplete) break
            kills++
            for (const name of names) {
              const lost = received.get(name)!.kill()
              assert.isAtMost(lost, largestWindow(name, from), `of ${name}, kill ${reads}`)
              isInAWindow ||= lost > 0
            }
            if (isInAWindow) killed.inAWindow++
          }

          for (const name of names) {
            const { repeated, rows, total } = received.get(name)!
            const found = Array.from(rows.values(), (text) => {
              const { n, time, value } = JSON.parse(text)
              return `${n} ${time} ${value}`
            })
            assert.deepStrictEqual(found.sort(), [...expectedRows(name)].sort(), name)
            assert.strictEqual(total - rows.size, repeated, `repeated of ${name}`)
          }
        })
      )
    }
  }
})

describe("these kills", () => {
  it("were many, after states and in the middle of windows", () => {
    assert.isAtLeast(kills, SEEDS * 2)
    assert.isAtLeast(killed.withStates, kills)
    assert.isAtLeast(killed.inAWindow, kills / 4)
  })
})
