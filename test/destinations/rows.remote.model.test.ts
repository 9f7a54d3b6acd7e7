import { isRemote } from "./backends.ts"
import { testRows } from "./rowSuite.ts"

testRows((name) => isRemote(name))
