/* An app in TypeScript: it compiles, and what is marked as an error is one. */

import { IndexedDbStorage, MemoryStorage, Petrel, RefusedError, Code, codeName, VERSION } from 'petrel-client';
import type { Gap, Message, Options, State, Storage } from 'petrel-client';

class OwnStorage implements Storage {
    load(key: string): unknown {
        return JSON.parse(localStorage.getItem(key) ?? 'null') ?? undefined;
    }
    save(key: string, value: unknown): void {
        localStorage.setItem(key, JSON.stringify(value));
    }
}

const options: Options = {
    servers: ['wss://push.example:7400'],
    app: 'shop',
    token: async () => (await fetch('/push-token')).text(),
    storage: [new OwnStorage(), new MemoryStorage(), new IndexedDbStorage('shop')][0],
    onMessage: async (message: Message) => {
        const body: Uint8Array | number = message.payload ?? message.data.n;
        console.log(message.id, message.position.seq + 1n, body);
    },
    onGap: ({ lostAtMost }: Gap) => console.log(lostAtMost),
    onState: ({ phase, code, retryMs }: State) => console.log(phase, codeName(code ?? Code.SHUTDOWN), retryMs),
};
const petrel = new Petrel(options);
petrel.subscribe('news').catch((error: RefusedError) => console.log(error.code, VERSION));
petrel.suspend();
petrel.resume();
const gone: Promise<void> = petrel.close({ signOut: true });
console.log(gone, petrel.phase, petrel.server, petrel.topics.length, petrel.identity.user);

// @ts-expect-error: onMessage is needed
new Petrel({ servers: 'wss://push.example:7400', token: 'x' });
// @ts-expect-error: a phase that is none
export const none: State = { phase: 'asleep', server: '' };
