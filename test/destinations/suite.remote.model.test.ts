import { isRemote } from "./backends.ts"
import { testBackends } from "./suite.ts"

testBackends(isRemote)
