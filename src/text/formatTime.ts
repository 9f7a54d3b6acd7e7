/** A time as in states and records: UTC, with milliseconds only if they are not zero. */
export const formatTime = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

/** A time rounded down to seconds, for messages. */
export const formatSecond = (millis: number): string => formatTime(Math.floor(millis / 1000) * 1000)
