import type { DescribeRecord } from '@tsbuild/store'
import { decodeRecord } from '../record-codec.ts'
import { identitiesOf } from './identities.ts'

/** What a record's text is found by in the index of steps; undefined for a text that is no record. */
export const describeRecord: DescribeRecord = (text) => {
  const record = decodeRecord(text)
  if (record === undefined) return undefined
  return { identities: Object.values(identitiesOf(record)), at: record.createdAt }
}
