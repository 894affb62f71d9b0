const SECRET = /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i
const NO_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i

/**
 * Whether a variable has the name of a secret.
 *
 * @see spec/dockerfile.md 1.8
 */
export function looksSecret(name: string): boolean {
  return SECRET.test(name) && !NO_SECRET.test(name)
}

/** Forms that only secrets have: keys in PEM, the prefixed tokens of well-known services, and passwords in URLs. */
const SECRET_VALUES: readonly RegExp[] = [
  /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/,
  // GitHub, GitLab, npm, PyPI, Docker, Slack, Stripe, AWS, Google.
  /\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,})/,
  /\bglpat-[\w-]{20}/,
  /\bnpm_[A-Za-z0-9]{36}/,
  /\bpypi-[\w-]{50}/,
  /\bdckr_(?:pat|oat)_[\w-]{20}/,
  /\bxox[abposr]-[\w-]{10}/,
  /\b[rs]k_live_[A-Za-z0-9]{20}/,
  /\bA(?:KIA|SIA)[A-Z0-9]{16}\b/,
  /\bAIza[\w-]{35}\b/,
  // A signed JSON web token.
  /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}/,
  /^[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:[^/\s@]+@/i,
]

/** Whether a value is a secret by its form, whatever it is called. */
export function isSecretValue(value: string): boolean {
  return SECRET_VALUES.some((form) => form.test(value))
}
