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

/** What a page has by itself: IndexedDB, and memory from the moment on in which the browser refuses it: site data that is blocked, a
 * sandboxed frame, a full disk. A later page then begins anew, or where the last one that was saved stood, and is sent what is not acked. */
export class PageStorage {
    #lasting;
    #memory = new MemoryStorage();

    constructor(scope) {
        try {
            this.#lasting = scope.indexedDB && new IndexedDbStorage('petrel', scope.indexedDB);
        } catch {
            // To name it is refused as well, in some browsers.
        }
    }

    load(key) {
        return this.#use((storage) => storage.load(key));
    }

    save(key, value) {
        return this.#use((storage) => storage.save(key, value));
    }

    async #use(call) {
        try {
            if (this.#lasting)
                return await call(this.#lasting);
        } catch {
            this.#lasting = undefined;
        }
        return call(this.#memory);
    }
}
