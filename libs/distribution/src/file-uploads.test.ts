import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { boundlessRoom, createDiskRoom } from './disk-room.ts'
import { fileUploads } from './file-uploads.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsbuild-uploads-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true })
})

it('leaves nothing of a part that the disk had no room for', async () => {
  let next = 0
  const uploads = fileUploads({
    room: boundlessRoom,
    directory,
    bounds: { perOwner: 1, inAll: 1 },
    now: Date.now,
    randomHex: (digits) => `${++next}`.padStart(digits, '0'),
  })
  const place = { repository: 'a', id: await uploads.begin('a', 'me') }
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  const probe = await open(join(directory, place.id, 'session.json'))
  const written = vi.spyOn(Object.getPrototypeOf(probe), 'writev').mockRejectedValue(full)
  await probe.close()
  const part = () => Readable.from([Buffer.alloc(1000)])
  await expect(uploads.append(place, 0, part())).rejects.toMatchObject({ code: 'ERR_STORE_NO_SPACE' })
  expect(readdirSync(join(directory, place.id))).toEqual(['session.json'])
  // Nor of one for which too many files were open, which is no failure of the disk.
  written.mockRejectedValue(Object.assign(new Error('too many open files'), { code: 'EMFILE' }))
  await expect(uploads.append(place, 0, part())).rejects.toMatchObject({ code: 'ERR_STORAGE_UNAVAILABLE' })
  written.mockRestore()
  expect(await uploads.append(place, 0, part())).toBe(1000)
})

it('takes two bodies at one time only where there is room for both', async () => {
  let next = 0
  const uploads = fileUploads({
    directory,
    room: createDiskRoom(() => 3000, 1000),
    bounds: { perOwner: 10, inAll: 10 },
    now: () => 0,
    randomHex: (digits) => String(next++).padStart(digits, '0'),
  })
  const slow = new PassThrough()
  const first = { repository: 'a', id: await uploads.begin('a', 'owner') }
  const second = { repository: 'b', id: await uploads.begin('b', 'owner') }
  const appending = uploads.append(first, 0, slow, 1500)
  await vi.waitFor(() => expect(readdirSync(join(directory, first.id))).toHaveLength(2))
  const part = () => Readable.from([Buffer.alloc(600)])
  await expect(uploads.append(second, 0, part(), 600)).rejects.toMatchObject({ code: 'ERR_STORE_NO_SPACE' })
  slow.end(Buffer.alloc(1500))
  expect(await appending).toBe(1500)
  expect(await uploads.append(second, 0, part(), 600)).toBe(600)
})
