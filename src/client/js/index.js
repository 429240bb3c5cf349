/* petrel-client: a browser's side of Petrel. README.md says how to use it, and in which order to read the files. */

export { Code, codeName } from './codes.js';
export { Petrel, VERSION } from './petrel.js';
export { IndexedDbStorage, MemoryStorage } from './storage.js';
export { RefusedError } from './topics.js';
