/** Progress where lines cannot be redrawn, as in the log of a job: a line when a stream ends, and one for all now and then. */
import { Duration, Effect, Layer, Schedule } from "effect"
import { Progress } from "../run/Progress.ts"
import { plain } from "../terminal/Appearance.ts"
import { Screen } from "../terminal/Screen.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { endedLine, nameWidthOf, progressLine } from "./liveLines.ts"
import { RunWatch } from "./RunState.ts"

/** The time between two lines about the run. */
const PERIOD = Duration.seconds(10)

/** Prints lines on the `Screen`, without a single control character. */
export const layer: Layer.Layer<Progress, never, Screen> = Layer.effect(
  Progress,
  Effect.gen(function* () {
    const screen = yield* Screen
    const scope = yield* Effect.scope
    const watch = new RunWatch()
    let nameWidth = 0
    let isOver = false

    const report = Effect.map(steadyMillis, (now) => {
      if (!isOver) screen.printAbove(progressLine(watch.state, now))
    })

    return Progress.of({
      begin: ({ streams }) =>
        Effect.flatMap(steadyMillis, (now) => {
          watch.begin(streams.length, now)
          nameWidth = nameWidthOf(streams)
          return Effect.asVoid(
            Effect.delay(report, PERIOD).pipe(Effect.repeat(Schedule.forever), Effect.forkIn(scope))
          )
        }),
      started: (stream, points) => Effect.sync(() => watch.started(stream, points)),
      wrote: (stream, samples) => Effect.sync(() => watch.wrote(stream, samples)),
      committed: (stream, points) => Effect.sync(() => watch.committed(stream, points)),
      // It is logged.
      retrying: () => Effect.void,
      ended: (stream) =>
        Effect.sync(() => {
          watch.streamEnded(stream)
          screen.printAbove(endedLine(stream, nameWidth, plain))
        }),
      finish: () =>
        Effect.sync(() => {
          isOver = true
        })
    })
  })
)
