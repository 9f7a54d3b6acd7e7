import { createHash } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { escaped, scriptJson } from "../../../src/report/html/html.ts"
import { reportHtml } from "../../../src/report/html/reportHtml.ts"
import { writeReport } from "../../../src/report/html/writeReport.ts"
import { curveOf, failedStream, runOf, start, streamOf } from "../summaries.ts"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "report-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** All texts between two markers. */
const between = (html: string, before: string, after: string): string => {
  const from = html.indexOf(before) + before.length
  return html.slice(from, html.indexOf(after, from))
}

const dataOf = (html: string): unknown =>
  JSON.parse(between(html, '<script type="application/json" id="data">', "</script>"))

describe("escaped", () => {
  it("has no HTML markup", () => {
    assert.strictEqual(
      escaped(`</script><a b="c" d='e'>&amp;`),
      "&lt;/script&gt;&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;amp;"
    )
    assert.strictEqual(escaped("温度 🚀 \u0000\u202e\ud800"), "温度 🚀 \\u0000\\u202e\\ud800")
  })

  it.prop("is safe in texts and attributes", [Schema.String], ([text]) => {
    assert.notMatch(escaped(text), /[<>"']|&(?!(amp|lt|gt|quot|#39);)/)
  })
})

describe("scriptJson", () => {
  it.prop("parses to the original value, and never ends a script", [Schema.String], ([text]) => {
    const json = scriptJson([text, "</script><!--"])
    assert.notInclude(json, "<")
    assert.deepStrictEqual(JSON.parse(json), [text, "</script><!--"])
  })
})

describe("reportHtml", () => {
  const bad = `</script><img src=x onerror="alert('1')">`
  const html = reportHtml(
    runOf(
      [
        streamOf(bad, { curves: [curveOf([1, NaN, 1 / 3], `{a="${bad}"}`)] }),
        failedStream("gone", `It said ${bad}.`),
        streamOf("quiet", { rows: 0, series: 0, span: undefined, curves: [] })
      ],
      { source: `http://h/${bad}`, destination: bad, previewCommand: `cat '${bad}'` }
    )
  )

  it("contains untrusted text only as text", () => {
    assert.notInclude(html, "<img")
    assert.strictEqual(html.match(/<\/script>/g)?.length, 2)
    assert.strictEqual(html.match(/<h3>([^<]*)<\/h3>/)?.[1], escaped(bad))
    assert.include(html, `<code>${escaped(`{a="${bad}"}`)}</code>`)
  })

  it("allows only its own script and style, and refers to no other resource", () => {
    const policy = between(html, 'http-equiv="Content-Security-Policy" content="', '"').replaceAll(
      "&#39;",
      "'"
    )
    const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`
    assert.strictEqual(
      policy,
      `default-src 'none'; script-src ${hash(between(html, "<script>", "</script>"))}; style-src ${hash(between(html, "<style>", "</style>"))}; base-uri 'none'; form-action 'none'`
    )
    assert.notMatch(html, / (src|style|on\w+)=["']/)
    assert.notMatch(html, /<(link|iframe|object|embed|base)\b/)
    for (const [, target] of html.matchAll(/ href="([^"]*)"/g)) assert.match(target!, /^#s\d+$/)
  })

  it("has the values with their gaps, in the order of time", () => {
    assert.deepStrictEqual(dataOf(html), [[{ t: [start, 60_000, 60_000], v: [1, null, 0.3333333] }]])
    assert.include(html, '<td class="n">0.3333333</td><td class="n">1</td>')
  })

  it("describes charts in words, and has tables with headers", () => {
    assert.include(
      html,
      `role="img" aria-label="${escaped(`Line chart of ${bad} from 2026-01-01 00:00 to 2026-01-01 23:59: 1 series, between 0.3333333 and 1. The table below has the range of each.`)}"`
    )
    assert.include(html, '<th scope="col">Series</th>')
    assert.include(html, '<html lang="en">')
  })

  it("shows failures", () => {
    assert.include(html, `<li><strong>gone</strong>: It said ${escaped(bad)}.</li>`)
    assert.include(html, "1 of 3 streams failed")
    assert.notInclude(reportHtml(runOf([streamOf("up")])), "failed</h2>")
  })

  it("collapses the charts if there are many", () => {
    const many = reportHtml(runOf(Array.from({ length: 300 }, (_, i) => streamOf(`s${i}`))))
    assert.notMatch(many, /<details[^>]* open/)
    assert.match(reportHtml(runOf([streamOf("up")])), /<details[^>]* open/)
    assert.lengthOf(dataOf(many) as ReadonlyArray<unknown>, 300)
  })
})

describe("the report of a hostile server", () => {
  const mega = `\u202e<b>"'&${"x".repeat(1_000_000)}`

  it("shows invisible characters as codes, and truncates long texts", () => {
    const html = reportHtml(
      runOf([
        streamOf(mega, { curves: [curveOf([1], '{a="\u202e\u2066"}')] }),
        failedStream(mega, mega),
        streamOf("עברית")
      ])
    )
    assert.isBelow(html.length, reportHtml(runOf([streamOf("up")])).length + 50_000)
    // The style and the script are ours.
    const texts = html.replace(/<(style|script)>[\s\S]*?<\/\1>/g, "")
    assert.notMatch(texts, /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/)
    assert.include(html, "<code>{a=&quot;\\u202e\\u2066&quot;}</code>")
    assert.include(html, "<h3>עברית</h3>")
  })

  it("shows a few thousand of its streams, including failed ones, and counts the others", () => {
    const streams = Array.from({ length: 150_000 }, (_, i) =>
      i % 200 === 199 ? failedStream(`s${i}`, "It is gone.") : streamOf(`s${i}`, { curves: [] })
    )
    const html = reportHtml(runOf(streams))
    assert.isBelow(html.length, 5_000_000)
    assert.strictEqual(html.match(/<details /g)?.length, 4999)
    assert.strictEqual(html.match(/<tr data-stream="\d+" class="failed"/g)?.length, 750)
    assert.strictEqual(html.match(/<li>/g)?.length, 500)
    assert.include(html, "<p>250 more failed.</p>")
    assert.match(html, /<p>145,001 more streams with [\d,]+ rows are not shown/)
  })
})

describe("writeReport", () => {
  it.live("replaces an existing report, and leaves no other file behind", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const path = join(folder, "report.html")
      writeFileSync(path, "an old one")
      const run = runOf([streamOf("up")])
      yield* writeReport(path, run)
      assert.strictEqual(readFileSync(path, "utf8"), reportHtml(run))
      assert.deepStrictEqual(readdirSync(folder), ["report.html"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("reports why it cannot write", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const path = join(folder, "missing", "report.html")
      const error = yield* Effect.flip(writeReport(path, runOf([])))
      assert.strictEqual(
        error.message,
        `${path} cannot be written: its folder does not exist. Make it, or choose another one.`
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
