/**
 * How fast bytes come back that have to be fetched again, in bytes per ms: 10 MB/s, an ordinary office line. It only weighs
 * downloads against steps, whose time is measured; ADR 0017.
 */
const fetchedPerMs = 10_000
/** Asking a server at all. */
const roundTripMs = 200
/** How fast a layer is unpacked: 100 MB/s of files, what one core gunzips. */
const unpackedPerMs = 100_000
/** How fast a layer is compressed: 40 MB/s of its blob, what one core deflates at level 6. */
const convertedPerMs = 40_000
/** What it takes to start any step. */
const stepMs = 100
/** For half an hour or so after it was used a thing counts as used now. */
const freshMs = 30 * 60_000
/** The least that a file takes. */
const blockBytes = 4096

/** What somebody may still want to look at, and nobody can make again: worth a quarter of an hour of a person's time. */
export const lookedAtMs = 15 * 60_000

/** To ask a cache elsewhere for a step again. */
export const lookedUpMs = roundTripMs

/** Estimates how long bytes take that come from a server. */
export function fetchMs(bytes: number): number {
  return roundTripMs + bytes / fetchedPerMs
}

/** Estimates how long a layer takes whose blob is there. */
export function unpackMs(bytes: number): number {
  return stepMs + bytes / unpackedPerMs
}

/** Estimates how long it takes to make a layer of this many bytes from the same in another compression. */
export function convertMs(bytes: number): number {
  return stepMs + bytes / convertedPerMs
}

/** How long a step takes that took `durationMs` when it was recorded. */
export function rerunMs(durationMs: number): number {
  return stepMs + durationMs
}

/**
 * What a thing is worth: the time that having it is likely to save, for each byte and in each ms that it is kept. How likely it is to
 * be asked for falls with the time since somebody did, as `1 / (idle + 30 min)`: no half-life to choose, and twice as long unused is
 * half as likely, whatever the scale.
 *
 * @param idleMs since it was last used
 * @see docs/adr/0017-gc.md
 */
export function worthOf(rebuildMs: number, bytes: number, idleMs: number): number {
  return rebuildMs / ((Math.max(0, idleMs) + freshMs) * Math.max(bytes, blockBytes))
}
