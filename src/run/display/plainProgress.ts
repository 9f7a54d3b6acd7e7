/** A run where lines cannot be taken back, such as in the log of a job: one when a stream ends, and now and then how far it is. */
import { Duration, Effect, Layer, Schedule } from "effect"
import { steadyMillis } from "../../steadyMillis.ts"
import { Progress } from "../Progress.ts"
import { plain } from "./Appearance.ts"
import { aboutText } from "./figures.ts"
import { endedLine, nameWidthOf, progressLine } from "./liveLines.ts"
import { RunWatch } from "./RunState.ts"
import { Screen } from "./Screen.ts"
import { printable } from "./textWidth.ts"

/** How long a run may be silent about how far it is. */
const PERIOD = Duration.seconds(10)

/** At most so many streams get a line each time they have to wait. */
const MOST_WAITS = 3

/** Prints lines on the `Screen`, without a single control character. */
export const layer: Layer.Layer<Progress, never, Screen> = Layer.effect(
  Progress,
  Effect.gen(function* () {
    const screen = yield* Screen
    const scope = yield* Effect.scope
    const watch = new RunWatch()
    let nameWidth = 0
    let isOver = false
    let waits = 0

    const tell = Effect.map(steadyMillis, (now) => {
      waits = 0
      if (!isOver) screen.printAbove(progressLine(watch.state, now))
    })

    return Progress.of({
      begin: ({ streams }) =>
        Effect.flatMap(steadyMillis, (now) => {
          watch.begin(streams.length, now)
          nameWidth = nameWidthOf(streams)
          return Effect.asVoid(
            Effect.delay(tell, PERIOD).pipe(Effect.repeat(Schedule.forever), Effect.forkIn(scope))
          )
        }),
      started: (stream, points) => Effect.sync(() => watch.started(stream, points)),
      wrote: (stream, samples) => Effect.sync(() => watch.wrote(stream, samples)),
      committed: (stream, points) => Effect.sync(() => watch.committed(stream, points)),
      retrying: (stream, error, delay) =>
        Effect.sync(() => {
          // A server that is down is the same news for all streams.
          if (waits++ >= MOST_WAITS) return
          const seconds = aboutText(Duration.toSeconds(delay))
          screen.printAbove(
            `${printable(stream)}: waiting ${seconds} to ask again: ${printable(error.summary)}`
          )
        }),
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
