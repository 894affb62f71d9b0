/*
 * What a message may hold at most. Both sides refuse what is beyond: neither trusts the other.
 * docs/dev/cache-protocol.md lists them.
 */

/** The most keys of one look-up, and the most steps of one plan. */
export const maxKeys = 10_000

/** The most records of one `POST /v1/records`. */
export const maxPutRecords = 1000

/** The most digests of one `POST /v1/missing`. */
export const maxDigests = 10_000

/** Bytes of a record's payload. An ordinary one has less than 2 KiB. */
export const maxPayloadBytes = 64 * 1024

/** Bytes of a record as JSON: the payload in base64, eight signatures, and room. */
export const maxRecordBytes = 96 * 1024

/** Bytes of a plan: a step is some hundred bytes, and a RUN with a long script some thousand. */
export const maxPlanBytes = 8 * 1024 * 1024

/** Bytes of a look-up or of a list of digests: 10,000 digests as JSON have 740 kB. */
export const maxDigestListBytes = 1024 * 1024

/** Bytes of `POST /v1/records`. */
export const maxPutBytes = 32 * 1024 * 1024

/** Bytes of a reply that a client reads: a record of an ordinary size for each of 10,000 keys. */
export const maxReplyBytes = 64 * 1024 * 1024
