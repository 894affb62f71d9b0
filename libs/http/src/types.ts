/** The values of the variables that name proxies; the caller reads the environment. */
export interface ProxySettings {
  readonly httpProxy?: string | undefined
  readonly httpsProxy?: string | undefined
  /** Comma-separated hosts, as in `NO_PROXY`. */
  readonly noProxy?: string | undefined
}

/** How often a failed request is made again. */
export interface RetrySettings {
  /** Tries in all, 1 for no retry. Default 6. */
  readonly attempts?: number | undefined
  /** The first pause; doubles with each try, half of it random. Default 500. */
  readonly baseDelayMs?: number | undefined
}

/** How long a silence is borne. */
export interface TimeoutSettings {
  /** Default 10,000. */
  readonly connectMs?: number | undefined
  /** From the end of the request to its response's headers. Default 30,000. */
  readonly headersMs?: number | undefined
  /** Between two pieces of a body. Default 30,000. */
  readonly bodyMs?: number | undefined
}
