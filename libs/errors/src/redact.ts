/** From the colon, and no further than an authority goes: texts are untrusted, and a longer look back is a quadratic one. */
const userInfo = /(:\/\/)[^\s/?#"']*@/gi
const authorization = /\b(authorization:\s*(?:basic|bearer)\s+)\S+/gi
/** Whatever a service calls it: `access_token`, `private_token`, `X-Goog-Signature`, `sig`, `X-Amz-Credential`. */
const queryToken =
  /([?&][\w.-]{0,40}(?:token|sig|signature|password|passwd|secret|credential|api[_-]?key)=)[^\s&"'#]+/gi

/**
 * Takes credentials out of a text that is about to be shown: user info of URLs, authorization headers, token
 * parameters of queries. Everything else is returned as it is.
 */
export function redact(text: string): string {
  return text.replace(userInfo, '$1***@').replace(authorization, '$1***').replace(queryToken, '$1***')
}
