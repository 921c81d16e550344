// Compiled, never run: the declarations for `require`.
import batpak = require('batpak')

const store: batpak.Store = batpak.Store.openSync('data')
const receipt: batpak.Receipt = store.appendSync({ entity: 'a', scope: 's', kind: 0x1000 })
export const sequence: bigint = receipt.sequence
