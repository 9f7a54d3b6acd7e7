/**
 * The page's script and style as strings. In the sources they are bundled on demand. The build replaces this file with the
 * bundled strings, so that a report needs neither esbuild nor another file.
 */
import { bundlePage } from "../../../../scripts/page.ts"

const { script, style } = await bundlePage()

export { script, style }
