import { ensureBinaries } from "./binaries.ts"

/** Runs once before the integration tests, which then find the programs themselves with `findBinaries`. */
export const setup = async (): Promise<void> => {
  await ensureBinaries()
}
