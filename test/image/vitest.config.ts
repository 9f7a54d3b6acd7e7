import { defineConfig } from "vitest/config"

/** Checks of the image that `scripts/verify-image.sh` has built: only there is one, so `npm test` leaves them alone. */
export default defineConfig({
  test: { include: ["test/image/*.check.ts"], testTimeout: 60_000 }
})
