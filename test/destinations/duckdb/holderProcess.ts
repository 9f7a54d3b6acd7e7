/** Keeps a database open for reading until it is killed, like a person's client: `holderProcess.ts PATH`. */
import { DuckDBInstance } from "@duckdb/node-api"

const instance = await DuckDBInstance.create(process.argv[2], { access_mode: "READ_ONLY" })
const connection = await instance.connect()
await connection.run("SELECT 1")
process.stdout.write("{}\n")
setInterval(() => connection, 1000)
