/** The span of a request, for users who provide a tracer. */
import type { Tracer } from "effect"
import type { ApiRequest } from "./http/ApiRequest.ts"

/** The parameters that a span shows. */
const shownParams = new Set(["query", "match[]", "start", "end", "step"])

/** The kind and the attributes of a request's span. All values are masked, since base addresses and queries may contain secrets. */
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
