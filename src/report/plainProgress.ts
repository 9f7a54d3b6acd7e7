/**
 * Progress in an output that cannot be redrawn, such as the log of a job: a line when a stream ends, and a total line at
 * intervals.
 */
import { Duration, Effect, Layer, Schedule } from "effect"
import { Progress } from "../run/Progress.ts"
import { plain } from "../terminal/Appearance.ts"
import { Screen } from "../terminal/Screen.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { endedLine, nameWidthOf, progressLine } from "./liveLines.ts"
import { RunWatch } from "./RunState.ts"

/** The time between two total lines. */
const PERIOD = Duration.seconds(10)

/** Prints lines on the `Screen`, without control characters. */
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
      // The log has it.
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
