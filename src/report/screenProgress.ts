/**
 * The progress of a run on a `Screen`: a line for each stream that has ended. On a terminal, a live picture is below them. In
 * an output that cannot be redrawn, such as the log of a job, a total line follows at intervals.
 */
import { Duration, Effect, Layer, Schedule } from "effect"
import { CurrentLoadMeter } from "../prometheus/load/LoadMeter.ts"
import { Progress } from "../run/Progress.ts"
import { plain } from "../terminal/Appearance.ts"
import { Screen } from "../terminal/Screen.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { endedLine, liveLines, nameWidthOf, progressLine } from "./liveLines.ts"
import { RateMeter } from "./RateMeter.ts"
import type { RunState } from "./RunState.ts"

/** The time between two frames of the picture. */
const FRAME = Duration.millis(100)

/** The time between two total lines. */
const LINE = Duration.seconds(10)

/** Shows the progress from the start of a run to its end, or to the end of the layer's scope. */
export const layer: Layer.Layer<Progress, never, Screen> = Layer.effect(
  Progress,
  Effect.gen(function* () {
    const screen = yield* Screen
    const scope = yield* Effect.scope
    const { isLive } = screen.appearance
    const paint = isLive ? screen.paint : plain
    const columns = () => (isLive ? screen.size().columns : Number.POSITIVE_INFINITY)
    const load = yield* CurrentLoadMeter
    const state: RunState = {
      startedAt: 0,
      streams: 0,
      ended: 0,
      failed: 0,
      samples: 0,
      isLimited: false,
      active: new Map()
    }
    const meter = new RateMeter()
    let nameWidth = 0

    const draw = Effect.map(steadyMillis, (now) => {
      if (!isLive) return
      meter.add(now, state.samples)
      state.isLimited = load.waiting > 0
      screen.draw(liveLines(state, now, meter.perSecond, screen.size(), paint))
    })
    const printTotal = Effect.map(steadyMillis, (now) => {
      state.isLimited = load.waiting > 0
      screen.printAbove(progressLine(state, now))
    })
    const repeated = isLive
      ? Effect.repeat(draw, Schedule.spaced(FRAME))
      : Effect.repeat(Effect.delay(printTotal, LINE), Schedule.forever)
    yield* Effect.addFinalizer(() => Effect.sync(screen.clear))

    return Progress.of({
      begin: Effect.fnUntraced(function* (streams) {
        state.startedAt = yield* steadyMillis
        state.streams = streams.length
        meter.add(state.startedAt, 0)
        nameWidth = nameWidthOf(streams, columns())
        yield* Effect.forkIn(repeated, scope)
      }),
      started: (name, points) =>
        Effect.sync(() => {
          state.active.set(name, { name, points, committed: 0, samples: 0, waiting: undefined })
        }),
      wrote: (name, samples) =>
        Effect.sync(() => {
          state.samples += samples
          const stream = state.active.get(name)
          if (stream === undefined) return
          stream.samples += samples
          // The server has responded.
          stream.waiting = undefined
        }),
      committed: (name, points) =>
        Effect.sync(() => {
          const stream = state.active.get(name)
          if (stream === undefined) return
          stream.committed = Math.min(stream.points, points)
          stream.waiting = undefined
        }),
      retrying: (name, error, delay) =>
        Effect.map(steadyMillis, (now) => {
          const stream = state.active.get(name)
          const waiting = { reason: withoutAddress(error), until: now + Duration.toMillis(delay) }
          if (stream !== undefined) stream.waiting = waiting
        }),
      ended: Effect.fnUntraced(function* (stream) {
        state.active.delete(stream.name)
        state.ended++
        if (stream.error !== undefined) state.failed++
        // Remove the stream before its line is printed, or the screen would show both until the next frame.
        yield* draw
        screen.printAbove(endedLine(stream, nameWidth, paint, columns()))
      })
    })
  })
)

/** Errors begin with a URL, which is the same for all streams and too long for a line. The log has it. */
const withoutAddress = (summary: string): string =>
  summary.replace(/^(?:The response from )?https?:\/\/\S+ /, "")
