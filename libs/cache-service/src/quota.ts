import { type AccessEntry, type Exchange, HttpError, type Route } from '@tsbuild/http-server'
import { accountOf, type Grant } from '@tsbuild/trust'
import type { Tally } from './tally.ts'

/** How much one token may use up, or all tokens of one account together. */
export interface QuotaLimits {
  /** Requests a second, in the long run; undefined: any number. */
  readonly requestsPerSecond: number | undefined
  /** How many of them may come at once. */
  readonly burst: number
  /** Bytes that may be sent under one token that says nothing of it itself; undefined: any number. */
  readonly maxBytes: number | undefined
}

/** Quotas of a server that says nothing else. A build makes some ten requests, and a push of an image some hundred. */
export const defaultQuota: QuotaLimits = {
  requestsPerSecond: 2000,
  burst: 120_000,
  maxBytes: 1024 ** 4,
}

/** What one token, or one account, used up. */
interface Account {
  /** Requests that it may make at once. */
  allowed: number
  /** Unix ms, of `allowed`. */
  at: number
  bytes: number
  /** When the bytes begin anew, in Unix seconds. A token that is counted by itself ends before that could matter. */
  endsAt: number | undefined
}

/** Accounts that are kept; the one that was idle for longest is forgotten first. */
const maxAccounts = 10_000
/** A token whose bytes are used up gets no more of them: it is told to come back when most tokens have ended. */
const usedUpRetryS = 3600

/**
 * Holds tokens to their quotas. Each process counts for itself, from its start on: a limit against what runs wild, not a bill.
 */
export class Quota {
  readonly #limits: QuotaLimits
  readonly #now: () => number
  readonly #tally: Tally
  readonly #accounts = new Map<string, Account>()

  constructor(limits: QuotaLimits, now: () => number, tally: Tally) {
    this.#limits = limits
    this.#now = now
    this.#tally = tally
  }

  /** The same routes, which answer 429 to who has used up what they may. To be put before every route of a server. */
  guard(routes: readonly Route[]): readonly Route[] {
    return routes.map((route) => ({
      ...route,
      handle: async (exchange) => {
        if (route.needs === 'public') return await route.handle(exchange)
        this.#takeRequest(exchange.grant)
        await route.handle(this.#limited(exchange))
      },
    }))
  }

  /** Told of each request that has ended, as `onRequest` of the server is. */
  onRequest({ account, bytesIn }: AccessEntry): void {
    const used = account === undefined || bytesIn === 0 ? undefined : this.#accounts.get(account)
    if (used !== undefined) used.bytes += bytesIn
  }

  #takeRequest(grant: Grant): void {
    const account = this.#accountOf(grant)
    const { requestsPerSecond, burst } = this.#limits
    if (requestsPerSecond === undefined) return
    const now = this.#now()
    const gained = (Math.max(0, now - account.at) / 1000) * requestsPerSecond
    account.allowed = Math.min(burst, account.allowed + gained)
    account.at = now
    if (account.allowed < 1) {
      this.#tally.refusedRequests++
      const seconds = Math.ceil((1 - account.allowed) / requestsPerSecond)
      throw tooMany('the token made too many requests', seconds)
    }
    account.allowed--
  }

  /** A body that says its length is refused before it is read; one that does not may be no longer than what is left. */
  #limited(exchange: Exchange): Exchange {
    const most = exchange.grant.maxBytes ?? this.#limits.maxBytes
    if (most === undefined) return exchange
    const left = most - this.#accountOf(exchange.grant).bytes
    const length = Number(exchange.request.headers['content-length'] ?? 0)
    if (length > left || (left <= 0 && exchange.request.headers['transfer-encoding'] !== undefined)) {
      this.#tally.refusedBytes++
      throw tooMany(`the token may send ${Math.max(0, left)} bytes more`, usedUpRetryS)
    }
    const { request, response, params, query, grant, base, signal } = exchange
    return {
      ...{ request, response, params, query, grant, base, signal },
      queryAll: (name) => exchange.queryAll(name),
      may: (operation, target) => exchange.may(operation, target),
      readBody: (maxBytes) => exchange.readBody(Math.min(maxBytes, left)),
      body: (maxBytes) => exchange.body(Math.min(maxBytes, left)),
    }
  }

  #accountOf(grant: Grant): Account {
    const id = accountOf(grant)
    const now = this.#now()
    const endsAt = grant.account === undefined ? undefined : grant.expiresAt
    const account = this.#accounts.get(id) ?? { allowed: this.#limits.burst, at: now, bytes: 0, endsAt }
    // An account outlives its tokens: its bytes are those of one token's time, however many tokens it got in that.
    if (account.endsAt !== undefined && endsAt !== undefined && endsAt * 1000 > now) {
      if (account.endsAt * 1000 <= now) Object.assign(account, { bytes: 0, endsAt })
    }
    this.#accounts.delete(id)
    this.#accounts.set(id, account)
    if (this.#accounts.size > maxAccounts) {
      const [oldest] = this.#accounts.keys()
      if (oldest !== undefined) this.#accounts.delete(oldest)
    }
    return account
  }
}

function tooMany(message: string, seconds: number): HttpError {
  return new HttpError(429, 'TOOMANYREQUESTS', message, { headers: { 'Retry-After': String(seconds) } })
}
