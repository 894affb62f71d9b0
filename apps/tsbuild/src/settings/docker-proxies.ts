/** Docker's keys of a proxy and the build arguments they stand for, each also in lower case. */
const proxyArgs = [
  ['httpProxy', 'HTTP_PROXY'],
  ['httpsProxy', 'HTTPS_PROXY'],
  ['ftpProxy', 'FTP_PROXY'],
  ['noProxy', 'NO_PROXY'],
  ['allProxy', 'ALL_PROXY'],
] as const

/**
 * The build arguments that docker's `config.json` (`proxies.default`) gives every build. A configuration that cannot be
 * parsed gives none: the builder, which needs it for credentials, is the one to complain.
 *
 * @see https://docs.docker.com/engine/cli/proxy/
 */
export function dockerProxyArgs(dockerConfig: string | undefined): Readonly<Record<string, string>> {
  const proxies = child(child(parseJson(dockerConfig ?? '{}'), 'proxies'), 'default')
  const args: Record<string, string> = {}
  for (const [key, name] of proxyArgs) {
    const value = child(proxies, key)
    if (typeof value !== 'string' || value === '') continue
    args[name] = value
    args[name.toLowerCase()] = value
  }
  return args
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function child(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return Object.entries(value).find(([name]) => name === key)?.[1]
}
