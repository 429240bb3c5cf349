/* page.js: what a browser tells of the page and the network. Where there is no page (node, workers) it is online and never hidden. */

/** on: online(), offline(), hidden(), visible(), frozen(), thawed(). Returns what stops it. */
export function watchPage(scope, on) {
    const stop = new AbortController();
    const listen = (target, type, listener) => target?.addEventListener?.(type, listener, { signal: stop.signal });
    const { document } = scope;
    listen(scope, 'online', () => on.online());
    listen(scope, 'offline', () => on.offline());
    listen(document, 'visibilitychange', () => (document.visibilityState === 'hidden' ? on.hidden() : on.visible()));
    listen(document, 'freeze', () => on.frozen());
    listen(document, 'resume', () => on.thawed());
    if (document !== undefined) {
        listen(scope, 'pagehide', () => on.frozen());
        listen(scope, 'pageshow', (event) => event.persisted && on.thawed());
    }
    return () => stop.abort();
}

/** False only where the browser is sure. */
export const isOnline = (scope) => scope.navigator?.onLine !== false;

const isRefusal = (error) => error?.name === 'SecurityError';

/** Of the pages that share a storage one at a time has the session. Resolves with what lets go of it; tells waiting() if another page
 * has it now. Where there are no locks (pages without https:, sandboxed frames) every page has one. */
export async function holdLock(scope, name, signal, waiting) {
    const locks = scope.navigator?.locks;
    if (!locks)
        return () => {};
    const hold = (options) => new Promise((resolve, reject) => {
        locks.request(name, options, (lock) => lock === null ? resolve(undefined) : new Promise((release) => resolve(release)))
            .catch(reject);
    });
    try {
        const held = await hold({ ifAvailable: true });
        if (held !== undefined)
            return held;
    } catch (error) {
        if (isRefusal(error))
            return () => {};
        throw error;
    }
    waiting();
    return hold({ signal });
}
