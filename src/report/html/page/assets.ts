/**
 * The page's script and style as texts. Here, in the sources, they are bundled when they are asked for; the build puts the
 * texts in the place of this file, so that a report needs neither esbuild nor another file.
 */
import { bundlePage } from "../../../../scripts/page.ts"

const { script, style } = await bundlePage()

export { script, style }
