/** The progress for a `Screen`: a live picture, or lines only. */
import { Effect, Layer } from "effect"
import type { Progress } from "../run/Progress.ts"
import { Screen } from "../terminal/Screen.ts"
import * as liveProgress from "./liveProgress.ts"
import * as plainProgress from "./plainProgress.ts"

export const layer: Layer.Layer<Progress, never, Screen> = Layer.unwrap(
  Effect.map(Screen, ({ appearance }) => (appearance.isLive ? liveProgress.layer : plainProgress.layer))
)
