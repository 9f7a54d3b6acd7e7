import { defineConfig } from "vitest/config"

/**
 * Six projects. "unit" and "conformance" (the built executable against the mock, rule by rule; in processes of all kinds; README's
 * commands) need nothing but Node; "model" (destinations against a model, and hostile servers, clients and texts: random runs,
 * kills, full disks, deadlines) needs PostgreSQL, DuckDB's extensions and an S3 server, which its global setup finds or installs;
 * "package" (what is published, installed into a fresh project) needs npm's registry or cache too; "integration" needs
 * real servers and Chromium, which its global setup finds, installs or builds; "clients" needs Python beside Prometheus,
 * for Airbyte's own programs. A plain `vitest run` runs all of them.
 */
export default defineConfig({
  test: {
    // Nearly all time is spent waiting for children and servers.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [
            "test/**/*.model.test.ts",
            "test/conformance/**",
            "test/process/**",
            "test/docs/readme.test.ts",
            "test/package/**",
            "test/integration/**",
            "test/clients/**"
          ],
          setupFiles: ["test/support/quiet.ts"],
          // A worker imports each module once for all of its files, not once per file.
          isolate: false,
          testTimeout: 30_000
        }
      },
      {
        test: {
          name: "model",
          include: ["test/**/*.model.test.ts"],
          globalSetup: [
            "test/support/databasesSetup.ts",
            "test/support/s3Setup.ts",
            "test/support/lakeSetup.ts"
          ],
          setupFiles: ["test/support/quiet.ts"],
          isolate: false,
          testTimeout: 240_000,
          // A server starts slowly on a busy machine.
          hookTimeout: 60_000
        }
      },
      {
        test: {
          name: "conformance",
          include: ["test/conformance/**/*.test.ts", "test/process/**/*.test.ts", "test/docs/readme.test.ts"],
          testTimeout: 120_000
        }
      },
      {
        test: {
          name: "package",
          include: ["test/package/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 300_000
        }
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: ["test/support/globalSetup.ts", "test/support/databasesSetup.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000
        }
      },
      {
        test: {
          name: "clients",
          include: ["test/clients/**/*.test.ts"],
          globalSetup: ["test/clients/globalSetup.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000
        }
      }
    ]
  }
})
