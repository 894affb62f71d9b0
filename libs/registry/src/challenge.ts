/** One way in which a server wants to be shown who asks. */
export interface Challenge {
  /** Lowercase: `basic`, `bearer`. */
  readonly scheme: string
  /** Names in lowercase. */
  readonly parameters: ReadonlyMap<string, string>
}

const schemeForm = /[A-Za-z0-9!#$%&'*+.^_`|~-]+/y
const parameterForm = /([A-Za-z0-9!#$%&'*+.^_`|~-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y
const separatorForm = /[\s,]*/y

/**
 * Parses the `WWW-Authenticate` headers of a response. Reads as far as the text makes sense and drops the rest.
 *
 * @see RFC 9110 section 11.6.1
 */
export function parseChallenges(header: string): readonly Challenge[] {
  const text = header.slice(0, 8192)
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  let position = 0
  const take = (form: RegExp): RegExpExecArray | null => {
    form.lastIndex = position
    const match = form.exec(text)
    if (match !== null) position = form.lastIndex
    return match
  }
  for (take(separatorForm); position < text.length; take(separatorForm)) {
    const parameter = take(parameterForm)
    if (parameter !== null) {
      const value = parameter[2]?.replace(/\\(.)/gs, '$1') ?? parameter[3] ?? ''
      challenges.at(-1)?.parameters.set((parameter[1] ?? '').toLowerCase(), value)
      continue
    }
    const scheme = take(schemeForm)
    if (scheme === null) break
    challenges.push({ scheme: scheme[0].toLowerCase(), parameters: new Map() })
  }
  return challenges
}
