/* token.js: what a client needs to know of a token. It does not verify it: the server does. */

function claims(token) {
    try {
        const base64 = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
        const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
        return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
        return {};
    }
}

/** {app, user, device} that the token is for; undefined where it does not say. */
export function readToken(token) {
    const { app, sub, device } = claims(token);
    return { app, user: sub, device };
}
