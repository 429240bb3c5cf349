/* site.js: the pages that the tests open. */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer as createPlain } from 'node:http';
import { createServer as createSecure } from 'node:https';
import { extname, join } from 'node:path';

import { HOUSE } from './server.js';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

/* The client as quickstart lays it out, its demo, and the test's own page. */
function fileOf(name) {
    const [, client] = /^\/client\/([a-z]+\.js)$/.exec(name) ?? [];
    const [, demo] = /^\/((?:index|demo)\.[a-z]+)$/.exec(name) ?? [];
    if (client)
        return join(HOUSE, 'src', 'client', 'js', client);
    if (demo)
        return join(HOUSE, 'deploy', 'demo', demo);
    return name === '/' ? join(HOUSE, 'tests', 'browser', 'page.html') : undefined;
}

async function answer(request, response) {
    const path = fileOf(new URL(request.url, 'http://page').pathname);
    const body = path && await readFile(path).catch(() => undefined);
    // A sandboxed frame is of no origin: to it these files are another's.
    const headers = { 'Content-Type': TYPES[extname(path ?? '')] ?? 'text/plain', 'Access-Control-Allow-Origin': '*' };
    response.writeHead(body ? 200 : 404, headers);
    response.end(body ?? '');
}

/** The test's page at /, the demo at /index.html, the client at /client/; with a certificate of makeCertificate() by https. */
export async function servePages(certificate) {
    const server = certificate === undefined ? createPlain(answer)
        : createSecure({ cert: certificate.pem, key: certificate.keyPem }, answer);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${server.address().port}/`;
    return { url, close: () => new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
    }) };
}
