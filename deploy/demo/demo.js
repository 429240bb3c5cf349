/* demo.js: a device that shows what it is sent. The address's fragment, which no server sees, says where it connects and as whom. */

import { Petrel } from './client/index.js';

const given = new URLSearchParams(location.hash.slice(1));
const show = (id) => document.getElementById(id);
let isAway = false;
let backAt = Date.now(); // what was sent before is what this page missed
let missed = 0;

function add(when, text, kind) {
    const item = document.createElement('li');
    const time = document.createElement('time');
    const body = document.createElement('code');
    time.textContent = when.toLocaleTimeString();
    body.textContent = text;
    item.className = kind;
    item.append(time, body);
    show('messages').prepend(item);
    show('none').hidden = true;
}

function tellMissed(count) {
    missed = count;
    show('missed').textContent = count > 0 ? `${count} missed while away` : '';
}

function onMessage(message) {
    const wasMissed = message.sent.getTime() < backAt;
    const text = message.isJson ? JSON.stringify(message.data) : `${message.payload.length} bytes`;
    tellMissed(missed + (wasMissed ? 1 : 0));
    add(message.sent, message.topic === '' ? text : `${message.topic}: ${text}`, wasMissed ? 'missed' : '');
    show('position').textContent = message.position.seq;
}

function reason({ phase, code, text, retryMs }) {
    if (phase === 'standby')
        return 'another page of this device has the session; close it, and this one goes on';
    if (text === undefined)
        return '';
    const number = code > 0 ? `${code}: ` : '';
    return `${number}${text}${retryMs === undefined ? '' : `; next try in ${Math.ceil(retryMs / 1000)} s`}`;
}

function onState(state) {
    show('phase').textContent = show('phase').dataset.phase = state.phase;
    show('reason').textContent = reason(state);
    show('server').textContent = state.server;
    const { app, user, device } = petrel.identity;
    show('device').textContent = `${device} of ${user}, app ${app}`;
}

function toggle() {
    isAway = !isAway;
    show('toggle').textContent = isAway ? 'Go online' : 'Go offline';
    if (isAway) {
        petrel.suspend();
    } else {
        backAt = Date.now();
        tellMissed(0);
        petrel.resume();
    }
}

function start(server, token) {
    if (server === null || token === null) {
        show('phase').textContent = 'no device';
        show('reason').textContent = 'Open this page by the whole address that deploy/quickstart prints: it names the server and a token.';
        return undefined;
    }
    show('toggle').addEventListener('click', toggle);
    show('toggle').disabled = false;
    return new Petrel({
        servers: server,
        token,
        onMessage,
        onState,
        onGap: ({ lostAtMost }) => add(new Date(), `at most ${lostAtMost} messages are gone`, 'gap'),
    });
}

const petrel = start(given.get('server'), given.get('token'));
