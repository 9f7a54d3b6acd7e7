import { isLake } from "./backends.ts"
import { testRows } from "./rowSuite.ts"

testRows((name) => isLake(name))
