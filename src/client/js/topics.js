/* topics.js: what the app asked to follow and was not answered yet; it is asked anew on the next connection. */

const UNANSWERED_MAX = 8; // by the protocol

/** The server refused; code says why. */
export class RefusedError extends Error {
    constructor(topic, code, text) {
        super(`${topic}: ${text}`);
        this.name = 'RefusedError';
        this.code = code;
    }
}

export class Wishes {
    #wishes = new Map(); // topic -> {follow, asked, ends: [{resolve, reject}]}
    #send;

    /** Resolves when the server has done it. A later wish for the same topic takes the earlier one's place. */
    want(topic, follow) {
        return new Promise((resolve, reject) => {
            const ends = this.#wishes.get(topic)?.ends ?? [];
            this.#wishes.set(topic, { follow, asked: false, ends: [...ends, { resolve, reject }] });
            this.#ask();
        });
    }

    /** The session is up: send(name, topic) reaches it; undefined: it is gone. */
    live(send) {
        this.#send = send;
        for (const wish of this.#wishes.values())
            wish.asked = false;
        this.#ask();
    }

    #ask() {
        let asked = [...this.#wishes.values()].filter((wish) => wish.asked).length;
        for (const [topic, wish] of this.#wishes) {
            if (this.#send === undefined || asked >= UNANSWERED_MAX)
                return;
            if (wish.asked)
                continue;
            wish.asked = true;
            asked++;
            this.#send(wish.follow ? 'SUBSCRIBE' : 'UNSUBSCRIBE', topic);
        }
    }

    /** A SUBSCRIBED came; what it does not answer stays. */
    answered({ topic, position, refused }, text) {
        const wish = this.#wishes.get(topic);
        if (!wish?.asked || (refused === 0 && wish.follow !== (position !== undefined)))
            return;
        this.#wishes.delete(topic);
        for (const { resolve, reject } of wish.ends)
            refused === 0 ? resolve() : reject(new RefusedError(topic, refused, text));
        this.#ask();
    }

    /** There will be no answers any more. */
    end(error) {
        for (const { ends } of this.#wishes.values())
            ends.forEach(({ reject }) => reject(error));
        this.#wishes.clear();
    }
}
