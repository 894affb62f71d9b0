/** Characters that take two columns: East Asian wide and full-width ones, and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u
/** Characters that take none. */
const zero = /\p{Mn}|\p{Me}|\p{Cf}/u
const ascii = /^[\x20-\x7e]*$/

/** The columns that a text without control characters takes in a terminal. */
export function displayWidth(text: string): number {
  if (ascii.test(text)) return text.length
  let width = 0
  for (const character of text) width += characterWidth(character)
  return width
}

/** The longest head of a text that takes no more than `width` columns. */
export function cutToWidth(text: string, width: number): string {
  if (ascii.test(text)) return text.slice(0, Math.max(0, width))
  let used = 0
  let out = ''
  for (const character of text) {
    used += characterWidth(character)
    if (used > width) return out
    out += character
  }
  return out
}

function characterWidth(character: string): number {
  if (wide.test(character)) return 2
  return zero.test(character) ? 0 : 1
}
