/* lookup.js: the servers that the app names, and asking them where to go. Every node's session port answers lookups, and so does the
 * send API's where the page may read it. */

import { isAddress, readAnswer } from './servers.js';

const ANSWER_MAX = 16384; // bytes

/* The text of a response; undefined where it is longer than any answer is, of which no more is read. */
async function readText(response) {
    const reader = response.body.getReader();
    const utf8 = new TextDecoder();
    let text = '';
    let left = ANSWER_MAX;
    for (;;) {
        const { done, value } = await reader.read();
        if (done)
            return text + utf8.decode();
        left -= value.length;
        if (left < 0) {
            await reader.cancel();
            return undefined;
        }
        text += utf8.decode(value, { stream: true });
    }
}

/** "wss://push.example:7400" (or https:, or without TLS ws:, http:) -> {secure, address}. Throws TypeError. */
export function parseServer(text) {
    const url = new URL(text);
    const secure = url.protocol === 'wss:' || url.protocol === 'https:';
    const address = `${url.hostname}:${url.port || (secure ? 443 : 80)}`;
    if (!/^(ws|http)s?:$/.test(url.protocol) || url.pathname !== '/' || url.search !== '' || !isAddress(address))
        throw new TypeError(`'${text}' is no server: it is a URL such as wss://push.example:7400`);
    return { secure, address };
}

export function parseServers(list) {
    const servers = (Array.isArray(list) ? list : [list]).map(parseServer);
    if (servers.length === 0 || servers.some(({ secure }) => secure !== servers[0].secure))
        throw new TypeError('servers: at least one is needed, and TLS for all of them or for none');
    return { secure: servers[0].secure, addresses: servers.map(({ address }) => address) };
}

export function shuffled(list, random) {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
        const j = Math.floor(random() * (i + 1));
        [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
}

export class Lookup {
    #addresses;
    #scheme;
    #env;

    constructor(addresses, secure, env) {
        this.#addresses = addresses;
        this.#scheme = secure ? 'https' : 'http';
        this.#env = env;
    }

    async #ask(address, patienceMs, signal) {
        const { clock, fetch } = this.#env;
        const stop = new AbortController();
        const abort = () => stop.abort();
        signal.addEventListener('abort', abort);
        const timer = clock.setTimeout(abort, patienceMs);
        try {
            const response = await fetch(`${this.#scheme}://${address}/v1/lookup`, { signal: stop.signal, cache: 'no-store', credentials: 'omit' });
            return response.status === 200 ? readAnswer(await readText(response)) : undefined;
        } catch {
            return undefined; // no answer, or none that a page may read
        } finally {
            clock.clearTimeout(timer);
            signal.removeEventListener('abort', abort);
        }
    }

    /** The first answer, or undefined; the one that gave it is asked first the next time. */
    async ask(patienceMs, signal) {
        for (const address of [...this.#addresses]) {
            const answer = await this.#ask(address, patienceMs, signal);
            if (answer !== undefined) {
                this.#addresses = [address, ...this.#addresses.filter((other) => other !== address)];
                return answer;
            }
        }
        return undefined;
    }
}
