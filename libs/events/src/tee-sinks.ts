import type { EventSink } from './events.ts'

/** Gives a sink that hands every event to each of `sinks`, in that order. */
export function teeSinks(...sinks: readonly EventSink[]): EventSink {
  return (event) => {
    for (const sink of sinks) sink(event)
  }
}
