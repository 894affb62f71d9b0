export type { BuildEvent, CacheSource, EventSink, Millis } from './events.ts'
