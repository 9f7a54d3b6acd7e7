/** The verb `spec`. */
import { Effect } from "effect"
import { connectionSpecification } from "../config/spec.ts"
import { Output } from "./Output.ts"

/** Writes the JSON Schema of the configuration. */
export const spec = Effect.gen(function* () {
  const output = yield* Output
  output.message({
    type: "SPEC",
    spec: {
      protocol_version: "0.2.0",
      documentationUrl: "https://docs.airbyte.com/integrations/sources/prometheus",
      connectionSpecification: connectionSpecification()
    }
  })
  return true
})
