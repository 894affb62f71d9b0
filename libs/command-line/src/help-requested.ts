/** Thrown by a command's parser where help was asked for instead; not an error. */
export class HelpRequested {
  readonly text: string

  /** @param text the help, for standard output */
  constructor(text: string) {
    this.text = text
  }
}
