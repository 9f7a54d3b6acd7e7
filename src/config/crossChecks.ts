/** Checks that concern several keys, or how values are sent. Invalid keys are absent here. */
import { authenticationProblems } from "./authenticationChecks.ts"
import type { Check } from "./Check.ts"
import { headerListProblems } from "./headerChecks.ts"
import { parameterProblems } from "./parameterChecks.ts"
import { overrideProblems, streamNameProblems } from "./streamChecks.ts"
import { parseMoment } from "./times.ts"
import { tlsProblems } from "./tlsChecks.ts"

/** The problems, as sentences. */
export const crossProblems: Check = (config) => [
  ...authenticationProblems(config),
  ...dateProblems(config),
  ...headerListProblems(config),
  ...overrideProblems(config),
  ...parameterProblems(config),
  ...streamNameProblems(config),
  ...tlsProblems(config)
]

const dateProblems: Check = ({ end_date, start_date }) =>
  start_date !== undefined && end_date !== undefined && parseMoment(end_date) < parseMoment(start_date)
    ? [`end_date is ${end_date}, but must not be before start_date ${start_date}.`]
    : []
