/** The largest durations that keys accept, in seconds. */
export const ONE_DAY = 86_400

/** A larger value is a mistake. */
export const TEN_YEARS = 3650 * ONE_DAY
