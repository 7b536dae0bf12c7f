// Programs outside of this folder find the packages that are installed here: `--import` this.

import { register } from 'node:module'

register('./resolver.mjs', import.meta.url)
