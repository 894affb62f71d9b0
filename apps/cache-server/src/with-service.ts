import type { Host } from './host.ts'
import { openLog } from './log/log.ts'
import { openService, type Service } from './serve/open-service.ts'
import { assertServerDirectory } from './server-directory.ts'
import type { Settings } from './settings/read-settings.ts'
import { directoryOf } from './with-store.ts'

/**
 * Opens what the server is made of, without its sockets, for one command; a server may run on the same directory meanwhile. What goes
 * wrong beside the command is logged.
 */
export async function withService<T>(
  settings: Settings,
  host: Host,
  use: (service: Service) => Promise<T>,
): Promise<T> {
  await assertServerDirectory(directoryOf(settings))
  const log = openLog({ level: 'warn', format: settings['log.format'] }, host)
  const service = await openService({ settings, host, log })
  try {
    return await use(service)
  } finally {
    await service.close()
    log.flush()
  }
}
