// A real browser: Chromium, headless, driven through chromedriver by the WebDriver protocol.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { folderOf, launch } from './programs.mjs'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--hide-scrollbars', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--window-size=1400,1000',
]
/** Where pictures go, to be looked at. */
const PICTURES = folderOf('tmp/node')

/** A browser with one window, closed after the test. */
export async function browser(t) {
  const folder = mkdtempSync(join(tmpdir(), 'ioprofiler-chromium-'))
  const port = await launch(folder, 'chromedriver', (port) => [`--port=${port}`])
  const ask = async (method, path, body) => {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body) }
    const { value } = await (await fetch(`http://127.0.0.1:${port}${path}`, init)).json()
    if (value?.error !== undefined) throw new Error(`${path}: ${value.message}`)
    return value
  }
  const { sessionId } = await ask('POST', '/session', {
    capabilities: {
      alwaysMatch: {
        browserName: 'chrome',
        'goog:loggingPrefs': { browser: 'ALL' },
        'goog:chromeOptions': { binary: CHROMIUM.find(existsSync), args: [...ARGUMENTS, `--user-data-dir=${join(folder, 'profile')}`] },
      },
    },
  })
  const session = `/session/${sessionId}`
  t.after(async () => {
    await ask('DELETE', session)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return {
    go: (url) => ask('POST', `${session}/url`, { url }),
    /** Runs a script in the page; gives what it returns. */
    run: (script, ...args) => ask('POST', `${session}/execute/sync`, { script, args }),
    /** What the page complained of. */
    complaints: async () => (await ask('POST', `${session}/se/log`, { type: 'browser' })).filter(({ level }) => level === 'SEVERE').map(({ message }) => message),
    async picture(name) {
      const path = join(PICTURES, `${name}.png`)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, Buffer.from(await ask('GET', `${session}/screenshot`), 'base64'))
    },
  }
}
