/** What the scenarios of samples and those of rows share: an open destination, its rows, and kills of a process that writes. */
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { afterAll, assert, beforeAll } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { Destination, isRefresh, type SyncMode } from "../../src/destinations/Destination.ts"
import { SharedDestination } from "../../src/destinations/SharedDestination.ts"
import type { StreamKind } from "../../src/samples/Layout.ts"
import { rowBlocks, type TableSchema } from "../../src/samples/TableRow.ts"
import { Choices } from "../choices.ts"
import { bundled } from "../support/bundled.ts"
import * as child from "../support/child.ts"
import { runs } from "../support/runs.ts"
import { type OpenOptions, type TestBackend, timeOf } from "./backends.ts"
import { loadedTime, start, stateAt, temporaryFolder } from "./drive.ts"
import { exemplarAt } from "./exemplars.ts"

/** A folder for a destination, which does not exist yet. */
export const newFolder = Effect.map(temporaryFolder, (folder) => join(folder, "data"))

/** Starts the server of a destination for the tests of a suite. Its streams are of this kind unless options say otherwise. */
export const scenariosOf = (backend: TestBackend, kind: StreamKind) => {
  const scope = Scope.makeUnsafe()
  beforeAll(() => Effect.runPromise(Scope.provide(backend.server ?? Effect.void, scope)))
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  const layer = (folder: string, options?: OpenOptions) =>
    backend.layer(folder, { kindOf: () => kind, ...options })

  /** Does something with the destination, which is open for as long as that takes. */
  const use = <A, E>(folder: string, body: Effect.Effect<A, E, Destination>, options?: OpenOptions) =>
    body.pipe(Effect.provide(layer(folder, options)), Effect.provide(NodeServices.layer))

  const rowsOf = (folder: string, stream = "up") => Effect.promise(() => backend.rows(folder, stream))

  return {
    layer,
    use,
    rowsOf,
    /** The values of a stream in the order of their times. */
    values: (folder: string, stream = "up") =>
      Effect.map(rowsOf(folder, stream), (rows) =>
        rows.toSorted((a, b) => timeOf(a) - timeOf(b)).map(({ value }) => Number(value))
      ),
    /**
     * Kills processes that write the series or rows with these identities, at any moment. The next one takes over. `whileOpen` is
     * called with the number of the first process.
     */
    killWriters: Effect.fnUntraced(function* (
      { ids, seed, times }: Record<"seed" | "times", number> & { readonly ids: ReadonlyArray<string> },
      whileOpen: (folder: string, pid: number) => Effect.Effect<void, unknown> = () => Effect.void
    ) {
      const folder = yield* newFolder
      const random = new Choices(seed, Number.POSITIVE_INFINITY)
      const known = new Set(ids)
      const script = yield* Effect.promise(() => bundled(new URL("writerProcess.ts", import.meta.url)))
      for (let kill = 0; kill < runs(1, times); kill++) {
        const writer = yield* child.start([backend.name, folder, kind], { script })
        const { point } = (yield* writer.waitFor((message) => "point" in message)) as {
          readonly point: number
        }
        if (kill === 0) yield* whileOpen(folder, writer.process.pid!)
        yield* Effect.sleep(random.below(500))
        writer.kill("SIGKILL")
        yield* writer.result
        const last = (Date.parse((yield* use(folder, loadedTime())) ?? "") - start) / 60_000
        assert.isAtLeast(last, point)
        const rows = yield* rowsOf(folder)
        assert.strictEqual(new Set(rows.map(({ key }) => key)).size, rows.length)
        assert.isTrue(rows.every((row) => Number(row.value) === (timeOf(row) - start) / 60_000))
        assert.lengthOf(
          rows.filter(({ key }) => known.has(key.split(" ")[0]!)),
          ids.length * (last + 1)
        )
        const complete = yield* rowsOf(folder, "complete")
        if (complete.length > 0) {
          assert.lengthOf(complete, 4000)
          assert.strictEqual(new Set(complete.map(({ value }) => value)).size, 1)
        }
      }
    })
  }
}

/** Writes rows of a table at points, each with its own number as its value, and commits the last one. */
export const putRows = (
  schema: TableSchema,
  mode: SyncMode,
  points: ReadonlyArray<number>,
  { isComplete = true, isResumed = false, value = (point: number) => point } = {}
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(Destination, ({ openTable }) => openTable(schema, mode, isResumed))
      yield* writer.write(rowBlocks(points.map((point) => exemplarAt(0, point, value(point)))))
      yield* writer.commit(stateAt(points.at(-1)!, isRefresh(mode)))
      if (isComplete) yield* writer.complete
    })
  )

/** Asserts that parts of the stream `up`, which has the rows of a group, are refused in a run that reads a metric of that name. */
export const refuseParts = Effect.gen(function* () {
  const { openPart, states } = yield* SharedDestination
  const errors = [yield* Effect.flip(states.load("up")), yield* Effect.flip(Effect.scoped(openPart("up")))]
  for (const { message } of errors) {
    assert.include(message, " has rows of the group up, and this run reads a metric with that name. ")
  }
})
