import { isLake } from "./backends.ts"
import { testBackends } from "./suite.ts"

testBackends(isLake)
