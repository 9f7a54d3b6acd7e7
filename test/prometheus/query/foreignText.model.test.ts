/**
 * Every function that searches a foreign text (of a server, a state or a user) returns in time, whatever the text: none has a
 * regular expression that backtracks without bound.
 *
 * The time limit does not measure their speed: one that backtracks would take hours.
 */
import { assert, describe, it } from "@effect/vitest"
import { parseTarget } from "../../../src/cli/target.ts"
import { fileName } from "../../../src/destinations/folder/fileName.ts"
import { parseRetryAfter } from "../../../src/prometheus/http/httpDate.ts"
import { causeText, fromTransport } from "../../../src/prometheus/http/transportError.ts"
import { findMetadata } from "../../../src/prometheus/Metadata.ts"
import { isNumber } from "../../../src/prometheus/query/jsonBytes.ts"
import { fromRefusal } from "../../../src/prometheus/refusal.ts"
import * as Matcher from "../../../src/promql/Matcher.ts"
import { halveValues } from "../../../src/promql/valuePattern.ts"
import { jsonText } from "../../../src/records/jsonLine.ts"
import { canonicalLabels, seriesId } from "../../../src/samples/Series.ts"
import { decodeStreamState } from "../../../src/sync/StreamState.ts"
import { textWidth } from "../../../src/terminal/textWidth.ts"
import { beginning, excerptLine } from "../../../src/text/excerpt.ts"
import { printable } from "../../../src/text/printable.ts"
import { shellQuote } from "../../../src/text/shellQuote.ts"
import { withinTime } from "../../support/withinTime.ts"

const LENGTH = 1_000_000
const DEADLINE_MILLIS = 10_000

/** A text of 1 MB that repeats one piece, with an end at which a search fails. */
const filled = (piece: string, end = ""): string => piece.repeat(Math.ceil(LENGTH / piece.length)) + end

const ownQuery = 'error when executing query="'

const texts: Readonly<Record<string, string>> = {
  letters: filled("a", "!"),
  capitals: filled("GMT", "!"),
  digits: filled("1", "x"),
  zeros: filled("0", "."),
  blanks: filled(" ", "x"),
  "blanks after a letter": `Z${filled(" ", "x")}`,
  "line breaks": filled("\n \t", "x"),
  backslashes: filled("\\", '"'),
  "escapes of backslashes": filled("\\\\u005c", "x"),
  quotes: filled('"', "x"),
  "single quotes": filled("'", "x"),
  "opening brackets": filled("["),
  "opening braces": filled("{"),
  parentheses: filled("((((", ")"),
  "brackets of lists": filled("[]"),
  "nested objects": `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
  "opening titles": filled("<title", ">"),
  "titles without an end": filled("<title>"),
  "titles with brackets": filled("<title><", ">"),
  "tags and blanks": filled("<title  ", ">x"),
  slashes: filled("/", "x"),
  dots: filled(".", "x"),
  percents: filled("%2", "x"),
  tildes: filled("~", "\n"),
  "dates without an end": filled("Mon, 01 Jan 2026 00:00:00 GMT ", "x"),
  exponents: filled("1e+", "x"),
  underscores: filled("_total", "!"),
  surrogates: filled("\ud800", "\udc00"),
  "wide characters": filled("漢", "x"),
  controls: filled("\u001b[", "x"),
  "an own query": filled(ownQuery),
  "a query of quotes": ownQuery + filled('"'),
  "a query and ranges": ownQuery + filled('" on the time range ('),
  "a query and complete ranges": ownQuery + filled('" on the time range ()'),
  "words of refusals": filled("err-mimir-max-fetched timeout exceeded "),
  "a node's hint": filled("; if the root CA is installed ")
}

const endpoint = "http://localhost:9090/api/v1/query"

const refuse = (body: string, contentType: string, status = 422): string =>
  fromRefusal(endpoint, { status, body, contentType, retryAfterMillis: undefined }).message

/** The functions. A text that one returns is for people, and must be short. */
const functions: Readonly<Record<string, (text: string) => string | undefined>> = {
  "a refusal in JSON": (text) => refuse(JSON.stringify({ error: text }), "application/json"),
  "a refusal that is the text": (text) => refuse(text, "text/plain"),
  "a refusal that starts with its query": (text) =>
    refuse(JSON.stringify({ error: `${ownQuery}${text}" on the time range (a): no` }), "application/json"),
  "a page": (text) => refuse(text, "text/html", 502),
  "a page with a title": (text) => refuse(`<html>${text}`, "", 200),
  "a content type": (text) => refuse("{}", text),
  excerptLine,
  beginning: (text) => beginning(text, 100),
  "the cause of a failure": (text) => causeText(new Error("outer", { cause: new Error(text) })),
  "a code of a failure": (text) =>
    fromTransport(endpoint, Object.assign(new Error(text), { code: "EPROTO" })).message,
  "a certificate's failure": (text) =>
    fromTransport(endpoint, Object.assign(new Error(text), { code: "ERR_TLS_CERT_ALTNAME_INVALID" })).message,
  "Retry-After": (text) => {
    parseRetryAfter(text, undefined, 0)
    return undefined
  },
  Date: (text) => {
    parseRetryAfter("Mon, 01 Jan 2026 00:00:00 GMT", text, 0)
    return undefined
  },
  "a number": (text) => {
    assert.isFalse(isNumber(text))
    return undefined
  },
  "a selector": (given) => {
    const text = given.slice(0, 100_000) + given.slice(-1)
    Matcher.parse(text)
    Matcher.parse(`{a="${text}"}`)
    Matcher.parse(`{${text}`)
    return undefined
  },
  "a label in a query": (text) => {
    Matcher.render([{ label: text, operator: "=", value: text }])
    return undefined
  },
  "a metric's family": (text) => {
    findMetadata(new Map(), text)
    return undefined
  },
  "labels of a series": (text) => {
    seriesId(canonicalLabels([[text, text]]))
    return undefined
  },
  "values of a label": (text) => {
    halveValues([text, `${text}1`, `${text}2`, `x${text}`])
    return undefined
  },
  "a text in JSON": (text) => {
    jsonText(text)
    return undefined
  },
  "a text for a terminal": (text) => {
    textWidth(printable(text))
    return undefined
  },
  // Longer names are refused earlier.
  "a stream's file": (text) => fileName(text.slice(0, 10_000)),
  "a text for a shell": (text) => {
    shellQuote(text)
    return undefined
  },
  "a destination": (text) => {
    parseTarget(text)
    parseTarget(`parquet:${text}`)
    return undefined
  },
  "a state": (text) => {
    decodeStreamState("m", { time: text, step: 60, version: 1 })
    return undefined
  }
}

describe("foreign text", () => {
  for (const [what, act] of Object.entries(functions)) {
    it(`does not delay ${what}`, { timeout: Object.keys(texts).length * DEADLINE_MILLIS }, () => {
      for (const [kind, text] of Object.entries(texts)) {
        let result: string | undefined
        try {
          result = withinTime(DEADLINE_MILLIS, () => act(text))
        } catch (error) {
          throw new Error(`${kind}: ${error}`, { cause: error })
        }
        if (result !== undefined) assert.isBelow(result.length, 1000, kind)
      }
    })
  }

  it("does not delay a split by values that are prefixes of one another", { timeout: 60_000 }, () => {
    const values = Array.from({ length: 8000 }, (_, i) => `${"a".repeat(i)}b`)
    const { matched, others, pattern } = withinTime(20_000, () => halveValues(values))
    const expression = new RegExp(`^(?:${pattern.replace("(?s)", "")})$`, "s")
    assert.isNotEmpty(matched)
    assert.isNotEmpty(others)
    assert.isTrue(matched.every((value) => expression.test(value)))
    assert.isFalse(others.some((value) => expression.test(value)))
  })

  it("that makes an expression backtrack exceeds the time limit", () => {
    assert.throws(() => withinTime(100, () => /^(a+)+$/.test(`${"a".repeat(60)}!`)), /timed out/)
    assert.strictEqual(
      withinTime(1000, () => 1),
      1
    )
  })
})
