// Bundles the report page's script (with uPlot) and style. Used by the build, and by tests, which run the sources directly.
import { fileURLToPath } from "node:url"
import { build, type Metafile, type Plugin } from "esbuild"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Texts for a `script` and a `style` element, and their source modules. */
export interface Page {
  readonly script: string
  readonly style: string
  readonly outputs: Metafile["outputs"]
}

export const bundlePage = async (): Promise<Page> => {
  const { metafile, outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ["src/report/html/page/page.ts"],
    outdir: "out",
    bundle: true,
    write: false,
    minify: true,
    format: "iife",
    platform: "browser",
    target: "es2022",
    charset: "utf8",
    legalComments: "inline",
    logLevel: "warning",
    metafile: true
  })
  const textOf = (extension: string): string => {
    const text = outputFiles.find(({ path }) => path.endsWith(extension))!.text.trim()
    if (/<\/(script|style)|<!--/i.test(text))
      throw new Error(`The page's ${extension} cannot be put into HTML.`)
    return text
  }
  return { script: textOf(".js"), style: textOf(".css"), outputs: metafile.outputs }
}

/** Replaces the code that bundles a page with the bundled texts. */
export const inlined = ({ script, style }: Page): Plugin => ({
  name: "page",
  setup: ({ onLoad }) =>
    onLoad({ filter: /[\\/]report[\\/]html[\\/]page[\\/]assets\.ts$/ }, () => ({
      contents: `export const script = ${JSON.stringify(script)}\nexport const style = ${JSON.stringify(style)}\n`
    }))
})
