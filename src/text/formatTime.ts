/** A time as states and records write it: UTC, with milliseconds only where they are not zero. */
export const formatTime = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")
