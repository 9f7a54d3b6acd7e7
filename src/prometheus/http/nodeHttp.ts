/** Node's modules for HTTP, without what an import adds: it evaluates their exports of WebSockets too, which takes 30 ms. */
import type * as Http from "node:http"
import type * as Https from "node:https"
import { createRequire } from "node:module"

const require = createRequire(import.meta.url)

export const http: typeof Http = require("node:http")
export const https: typeof Https = require("node:https")
