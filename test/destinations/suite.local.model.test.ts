import { isLake, isRemote } from "./backends.ts"
import { testBackends } from "./suite.ts"

testBackends((name) => !isLake(name) && !isRemote(name))
