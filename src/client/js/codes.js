/* codes.js: why a session ends, as numbers. proto/README.md, section 8, says what each means. */

export const Code = Object.freeze({
    SHUTDOWN: 3000,
    DRAIN: 3001,
    OVERLOADED: 3002,
    UNAVAILABLE: 3003,
    CONNECT_TIMEOUT: 3004,
    HEARTBEAT_TIMEOUT: 3005,
    KICKED: 3006,
    TOKEN_EXPIRED: 3007,
    SLOW: 3008,
    PROTOCOL_ERROR: 3500,
    FRAME_TOO_LARGE: 3501,
    UNKNOWN_TYPE: 3502,
    UNSUPPORTED: 3503,
    VERSION: 3504,
    TOKEN_INVALID: 3505,
    UNKNOWN_APP: 3506,
    REVOKED: 3507,
    REPLACED: 3508,
    TOO_MANY_DEVICES: 3509,
    ACK_BEYOND: 3510,
    STALE_ATTEMPT: 3511,
    TOO_MANY_TOPICS: 3512,
    TOO_FAST: 3513,
});

const FIRST = 3000, FIRST_FINAL = 3500, END = 4000;
const NAMES = new Map(Object.entries(Code).map(([name, code]) => [code, name]));

export const isCode = (code) => code >= FIRST && code < END;

/** Whether a client reconnects after it. 0, no word from the server, counts among these. */
export const isRetried = (code) => code < FIRST_FINAL;

/** The code's name; a number where this version knows none. */
export const codeName = (code) => NAMES.get(code) ?? String(code);

/** Whether it says something about this server that another need not have in common with it. */
export function isServers(code) {
    return [0, Code.SHUTDOWN, Code.DRAIN, Code.OVERLOADED, Code.UNAVAILABLE].includes(code);
}
