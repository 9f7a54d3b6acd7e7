import { defineConfig } from "vitest/config"

/**
 * Two projects: "unit" needs nothing but Node; "integration" needs a real Prometheus, which its global
 * setup finds or installs. A plain `vitest run` runs both; `vitest run test/prometheus` never installs.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/integration/**"]
        }
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: ["test/support/globalSetup.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000
        }
      }
    ]
  }
})
