/** C0, DEL and C1: what moves a terminal's cursor or begins another line of a log. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

/** Whether a text has a control character. */
export function hasControl(text: string): boolean {
  return text.search(control) !== -1
}

/** A text from outside for a log: control characters as `\x1b`, and no longer than that. */
export function printable(text: string, maxLength: number): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text
  return cut.replace(control, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
