import type { BuildEvent, Millis } from '@tsbuild/events'

/** Shows a build. Nothing it does may throw or wait. */
export interface Display {
  /** Takes an event as it happens. */
  update(event: BuildEvent): void
  /** Time has passed; called several times a second. */
  tick(now: Millis): void
  /** The build is over: everything held back comes out, and the terminal is as it was. */
  end(now: Millis): void
}

/** A display that shows nothing. */
export const silentDisplay: Display = { update() {}, tick() {}, end() {} }
