/* demo.js: a device that shows what it is sent. The address's fragment, which no server sees, says where it connects and as whom. */

import { Petrel } from './client/index.js';

const given = new URLSearchParams(location.hash.slice(1));
const show = (id) => document.getElementById(id);
let awaySince; // while "offline": when it began
let backAt = 0;
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

function onMessage(message) {
    const wasMissed = message.sent.getTime() < backAt;
    const text = message.isJson ? JSON.stringify(message.data) : `${message.payload.length} bytes`;
    missed += wasMissed ? 1 : 0;
    show('missed').textContent = missed > 0 ? `${missed} missed while offline` : '';
    add(message.sent, message.topic === '' ? text : `${message.topic}: ${text}`, wasMissed ? 'missed' : '');
    show('position').textContent = message.position.seq;
}

function onState({ phase, server, code, text }) {
    show('phase').textContent = phase;
    show('phase').dataset.phase = phase;
    show('phase').title = code === undefined ? '' : `${code} ${text}`;
    show('server').textContent = server;
    const { app, user, device } = petrel.identity;
    show('device').textContent = `${device} of ${user}, app ${app}`;
    show('toggle').textContent = awaySince === undefined ? 'Go offline' : 'Go online';
}

function toggle() {
    if (awaySince === undefined) {
        awaySince = Date.now();
        petrel.suspend();
    } else {
        awaySince = undefined;
        backAt = Date.now();
        missed = 0;
        petrel.resume();
    }
}

const petrel = new Petrel({
    servers: given.get('server'),
    token: given.get('token'),
    onMessage,
    onState,
    onGap: ({ lostAtMost }) => add(new Date(), `at most ${lostAtMost} messages are gone`, 'gap'),
});
show('toggle').addEventListener('click', toggle);
