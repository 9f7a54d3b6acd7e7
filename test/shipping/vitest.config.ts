import { defineConfig } from "vitest/config"

/** Checks of what scripts/verify-image.sh and scripts/verify-flake.sh have made: only there it is, so `npm test` leaves them alone. */
export default defineConfig({
  test: { include: ["test/shipping/*.check.ts"], testTimeout: 60_000 }
})
