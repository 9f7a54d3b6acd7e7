/** Progress on a terminal: a live picture, and above it a line for each stream that has ended. */
import { Duration, Effect, Layer, Schedule } from "effect"
import { Progress } from "../run/Progress.ts"
import { Screen } from "../terminal/Screen.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { endedLine, liveLines, nameWidthOf } from "./liveLines.ts"
import { RateMeter } from "./RateMeter.ts"
import { RunWatch } from "./RunState.ts"

/** The time between two frames. */
const PERIOD = Duration.millis(100)

/** Draws on the `Screen` from the start of a run to its end, or to the end of the layer's scope. */
export const layer: Layer.Layer<Progress, never, Screen> = Layer.effect(
  Progress,
  Effect.gen(function* () {
    const screen = yield* Screen
    const scope = yield* Effect.scope
    const watch = new RunWatch()
    const meter = new RateMeter()
    let nameWidth = 0
    let isOver = false

    const draw = Effect.map(steadyMillis, (now) => {
      if (isOver) return
      const { state } = watch
      meter.add(now, state.samples)
      screen.draw(liveLines(state, now, meter.perSecond, screen.size(), screen.paint))
    })
    const stop = Effect.sync(() => {
      isOver = true
      screen.clear()
    })
    yield* Effect.addFinalizer(() => stop)

    return Progress.of({
      begin: ({ streams }) =>
        Effect.flatMap(steadyMillis, (now) => {
          watch.begin(streams.length, now)
          meter.add(now, 0)
          nameWidth = nameWidthOf(streams, screen.size().columns)
          return Effect.asVoid(draw.pipe(Effect.repeat(Schedule.spaced(PERIOD)), Effect.forkIn(scope)))
        }),
      started: (stream, points) => Effect.sync(() => watch.started(stream, points)),
      wrote: (stream, samples) => Effect.sync(() => watch.wrote(stream, samples)),
      committed: (stream, points) => Effect.sync(() => watch.committed(stream, points)),
      retrying: (stream, error, delay) =>
        Effect.map(steadyMillis, (now) =>
          watch.retrying(stream, withoutAddress(error.summary), now + Duration.toMillis(delay))
        ),
      ended: (stream) =>
        Effect.suspend(() => {
          watch.streamEnded(stream)
          // Remove the stream before its line is printed, or the screen would show both until the next frame.
          return Effect.map(draw, () =>
            screen.printAbove(endedLine(stream, nameWidth, screen.paint, screen.size().columns))
          )
        }),
      finish: () => stop
    })
  })
)

/** Errors begin with a URL, which is the same for all streams and too long for a line. The log has it. */
const withoutAddress = (summary: string): string =>
  summary.replace(/^(?:The response from )?https?:\/\/\S+ /, "")
