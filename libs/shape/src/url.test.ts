import { expect, it } from 'vitest'
import { parseUrl } from './url.ts'

it('parseUrl() reads names beyond ASCII however often it was called', () => {
  for (let count = 0; count < 200_000; count++) parseUrl(`http://host/${count % 7}`)
  expect(parseUrl('http://bücher.example/')?.hostname).toBe('xn--bcher-kva.example')
  expect(parseUrl('../b', 'http://host/a/c')?.href).toBe('http://host/b')
  expect(parseUrl('no url')).toBeUndefined()
})
