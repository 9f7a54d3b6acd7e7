/** The span of a request, for users who provide a tracer. */
import type { Tracer } from "effect"
import type { ApiRequest } from "./http/transport.ts"

/** The parameters that a span shows: what is asked for. */
const shownParams = new Set(["query", "match[]", "start", "end", "step"])

/** What a span says of a request. All of it is masked, since a base address and queries may contain secrets. */
export const requestSpan = (
  baseUrl: string,
  { method, params, path }: ApiRequest,
  mask: (text: string) => string
): Tracer.SpanOptionsNoTrace => ({
  kind: "client",
  attributes: {
    "http.request.method": method,
    "url.full": mask(baseUrl + path),
    ...Object.fromEntries(
      Object.entries(params)
        .filter(([name]) => shownParams.has(name))
        .map(([name, value]) => [`prometheus.${name.replace("[]", "")}`, mask(value)])
    )
  }
})
