import type { BuildEvent } from './events.ts'

/** The version of the lines that {@link toNdjson} gives; stands in the first line of a build, `build.started`. */
export const ndjsonFormat = 1

/**
 * Writes an event as one line of the public JSON form, with its line feed.
 * The fields are those of {@link BuildEvent}; `data` of `vertex.log` is base64 of the bytes as the step wrote them, and
 * `build.started` carries `format`, which changes when a field changes its meaning. New fields and types may come at any
 * time: readers ignore what they do not know.
 */
export function toNdjson(event: BuildEvent): string {
  return `${JSON.stringify(publicForm(event))}\n`
}

function publicForm(event: BuildEvent): object {
  switch (event.type) {
    case 'build.started':
      return { ...event, format: ndjsonFormat }
    case 'vertex.log':
      return { ...event, data: Buffer.from(event.data).toString('base64') }
    default:
      return event
  }
}
