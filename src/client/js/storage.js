/* storage.js: where a device's state is kept. A storage is {load(key), save(key, value)}, both may return promises; a value is plain
 * (objects, arrays, texts, numbers), and load gives undefined for a key that was never saved. */

export class MemoryStorage {
    #values = new Map();

    async load(key) {
        return structuredClone(this.#values.get(key));
    }

    async save(key, value) {
        this.#values.set(key, structuredClone(value));
    }
}

const STORE = 'state';

function done(request) {
    return new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
}

export class IndexedDbStorage {
    #name;
    #factory;
    #open;

    constructor(name = 'petrel', factory = globalThis.indexedDB) {
        this.#name = name;
        this.#factory = factory;
    }

    async load(key) {
        const db = await this.#database();
        return done(db.transaction(STORE).objectStore(STORE).get(key));
    }

    /* Relaxed: what a power cut takes is a position that is later than the one left, from which the server goes on: nothing is lost by
     * it, and a flush to the disk for each batch of messages would be paid by the battery. */
    async save(key, value) {
        const db = await this.#database();
        const transaction = db.transaction(STORE, 'readwrite', { durability: 'relaxed' });
        transaction.objectStore(STORE).put(value, key);
        await new Promise((resolve, reject) => {
            transaction.oncomplete = resolve;
            transaction.onabort = () => reject(transaction.error);
        });
    }

    async #database() {
        this.#open ??= this.#connect();
        try {
            return await this.#open;
        } catch (error) {
            this.#open = undefined;
            throw error;
        }
    }

    /* A browser may close it under us, and another version of the page may want to change it: it is opened anew when it is needed. */
    async #connect() {
        const request = this.#factory.open(this.#name, 1);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE);
        const db = await done(request);
        db.onclose = () => { this.#open = undefined; };
        db.onversionchange = () => { db.close(); this.#open = undefined; };
        return db;
    }
}
