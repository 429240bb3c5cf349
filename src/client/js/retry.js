/* retry.js: when the next connect is made after one that ended. proto/README.md, section 9. Pure. */

import { Code, isRetried, isServers } from './codes.js';

const WINDOW_MS = 500, WINDOW_MAX_MS = 60000;
const SERVER_MAX_MS = 3600000; // no server can send a device away for longer
const PROVEN_MS = 30000; // a session that lived so long was a success
/* How far a lost attempt is jumped ahead, doubled with each refusal. */
const ATTEMPT_JUMP = 2n ** 20n;

/** end: {code, text, liveMs (undefined: it was never live), leaveInMs (after a GOAWAY: until the random time within its spread)} */
export class Retry {
    #random;
    #servers;
    #freshTokens;
    #failures = 0; // rounds in a row that did not lead to a session which proved itself
    #backoffMs = 0;
    #told = false; // in this round: of several waits the shortest counts
    #jump = ATTEMPT_JUMP;

    constructor(servers, random, freshTokens) {
        this.#servers = servers;
        this.#random = random;
        this.#freshTokens = freshTokens;
    }

    /** A server that refused named a wait. */
    told(backoffMs) {
        this.#backoffMs = Math.min(this.#told ? Math.min(backoffMs, this.#backoffMs) : backoffMs, SERVER_MAX_MS);
        this.#told = true;
    }

    goaway(backoffMs) {
        this.#backoffMs = Math.min(backoffMs, SERVER_MAX_MS);
    }

    live() {
        this.#backoffMs = 0;
        this.#told = false;
        this.#jump = ATTEMPT_JUMP;
        this.#servers.live();
    }

    #may(code, state) {
        if (code === Code.STALE_ATTEMPT) {
            const jump = this.#jump;
            this.#jump *= 2n;
            return state.jumpAttempt(jump);
        }
        return isRetried(code) || (code === Code.TOKEN_INVALID && this.#freshTokens);
    }

    /* The server's wait at least, and a random part on top: everyone who was told the same would be back in the same moment. */
    #wait(window) {
        const most = Math.min(WINDOW_MAX_MS, Math.max(window, this.#backoffMs) * 2 ** this.#failures);
        return this.#backoffMs + Math.floor(this.#random() * (most + 1));
    }

    /** How long to wait: 0 while the round has another server to try, -1: never, as things stand. */
    after(end, state) {
        const wasLive = end.liveMs !== undefined;
        const proven = wasLive && end.liveMs >= PROVEN_MS;
        const theirs = isServers(end.code);
        const may = this.#may(end.code, state);
        if (this.#servers.another() && may && !wasLive && theirs)
            return 0;
        const failed = theirs && !wasLive;
        this.#servers.restart(!theirs ? 'theirs not' : wasLive ? 'ended' : 'failed');
        this.#told = false;
        if (!may)
            return -1;
        if (proven)
            this.#failures = 0;
        const leaveIn = Math.max(0, end.leaveInMs ?? 0);
        if (proven && end.leaveInMs !== undefined)
            return leaveIn;
        const wait = this.#wait(Math.max(WINDOW_MS, failed ? this.#servers.backoffMs : 0));
        this.#failures++;
        return Math.max(wait, leaveIn); // to be sent on by one server after the other is no reason to hurry
    }
}
