/* servers.js: which server is tried next. Pure: answers and time in, addresses out.
 *
 * round    the targets of the last GOAWAY, then the list; each is named once. The list is the last lookup's answer, or fixed.
 * settled  this round has its list: it was young enough, or a lookup was made, or none answered. Before that a lookup is due.
 * left     the server whose session ended: tried last, because it is the likeliest to be gone */

const PATIENCE_MS = 20000; // with a server when there is no other
const PATIENCE_OTHERS_MS = 3000; // when there are others, and doubled with each round that failed
const PATIENCE_LOOKUP_MS = 2000, PATIENCE_LOOKUP_MAX_MS = 10000;
const LIST_MAX = 5;
const TTL_S = 300, TTL_MAX_S = 86400; // where the answer says nothing, and at most
const WAIT_MAX_MS = 60000; // no answer can put a device off for longer
const BACKOFF_MS = 1000;

const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,255}):([0-9]{1,5})$/;

/** Whether it is "host:port", IPv6 in brackets. */
export function isAddress(text) {
    const match = typeof text === 'string' && ADDRESS.exec(text);
    return Boolean(match) && Number(match[2]) > 0 && Number(match[2]) < 65536;
}

function bounded(value, otherwise, most) {
    return Number.isInteger(value) && value >= 0 ? Math.min(value, most) : otherwise;
}

/** What a lookup answered, as text; undefined where it is no answer. */
export function readAnswer(text) {
    let answer;
    try {
        answer = JSON.parse(text);
    } catch {
        return undefined;
    }
    const named = Array.isArray(answer?.servers) ? answer.servers.map((server) => server?.address) : [];
    const list = named.filter(isAddress).slice(0, LIST_MAX);
    if (list.length === 0)
        return undefined;
    return {
        list,
        ttlMs: 1000 * bounded(answer.ttl_s, TTL_S, TTL_MAX_S),
        backoffMs: bounded(answer.backoff_ms, BACKOFF_MS, WAIT_MAX_MS),
        waitMs: bounded(answer.wait_ms, 0, WAIT_MAX_MS),
    };
}

export class Servers {
    backoffMs = 0; // lookup's, after a round that failed
    #fixed;
    #list;
    #targets = [];
    #staleAt = 0;
    #distrusted = false;
    #settled = false;
    #named = 0;
    #unheard = false; // what was named last has had no outcome yet
    #failedRounds = 0;
    #current = '';
    #left = '';

    /** fixed: the session servers, where there is no lookup. */
    constructor(fixed) {
        this.#fixed = fixed !== undefined;
        this.#list = fixed ?? [];
    }

    /** A GOAWAY named these; they begin the next round. */
    goaway(targets) {
        this.#targets = targets.filter(isAddress).slice(0, LIST_MAX);
    }

    /* The server that was left goes behind the others. */
    #settle() {
        this.#settled = true;
        const others = this.#list.filter((address) => address !== this.#left);
        if (others.length < this.#list.length)
            this.#list = [...others, this.#left];
    }

    #doubled(least, most) {
        return Math.min(most, least * 2 ** this.#failedRounds);
    }

    /** {address, patienceMs}; or, where a lookup is due, {patienceMs} with each lookup server. A server may hang with its kernel still
     * accepting for it: with others to go to it gets little time. */
    next(nowMs) {
        const fresh = this.#fixed || (this.#list.length > 0 && !this.#distrusted && nowMs < this.#staleAt);
        if (!this.#settled && fresh)
            this.#settle();
        const round = this.#settled ? [...this.#targets, ...this.#list] : this.#targets;
        if (this.#named >= round.length) {
            this.#unheard = false;
            return { patienceMs: this.#doubled(PATIENCE_LOOKUP_MS, PATIENCE_LOOKUP_MAX_MS) };
        }
        const others = this.#targets.length + this.#list.length > 1;
        this.#current = round[this.#named++];
        this.#unheard = true;
        return { address: this.#current, patienceMs: others ? this.#doubled(PATIENCE_OTHERS_MS, PATIENCE_MS) : PATIENCE_MS };
    }

    /** Lookup answered, as readAnswer() gave it. */
    answered(answer, nowMs) {
        this.#list = answer.list;
        this.#staleAt = nowMs + answer.ttlMs;
        this.#distrusted = false;
        this.backoffMs = answer.backoffMs;
        this.#settle();
    }

    /** Lookup did not. False: there is no older answer either. */
    unanswered() {
        this.#settle();
        return this.#list.length > 0;
    }

    /** What was named last failed: whether this round has another. */
    another() {
        const unheard = this.#unheard;
        this.#unheard = false;
        return unheard && (this.#named < this.#targets.length + this.#list.length || (!this.#settled && !this.#fixed));
    }

    live() {
        this.#targets = [];
        this.#failedRounds = 0;
        this.#left = '';
    }

    /** Begin the next round. why: 'ended', a session did, elsewhere first; 'failed', none of the round served; or 'theirs not', as with a
     * token that is refused: the same servers again. */
    restart(why) {
        if (why === 'ended')
            this.#left = this.#current;
        if (why === 'failed') {
            this.#targets = [];
            this.#distrusted = true;
            this.#failedRounds++;
        }
        this.#named = 0;
        this.#settled = false;
        this.#unheard = false;
    }
}
