/** The words of `--progress`. */
export const progressModes = ['auto', 'tty', 'plain', 'quiet', 'rawjson', 'json', 'none'] as const

/** A word of `--progress`. */
export type ProgressMode = (typeof progressModes)[number]
