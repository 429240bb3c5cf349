/** Where a device's state is kept; both may return promises. A value is plain: it survives JSON. */
export interface Storage {
    load(key: string): unknown | Promise<unknown>;
    save(key: string, value: unknown): void | Promise<void>;
}

/** The browser's database; the default where there is one. */
export class IndexedDbStorage implements Storage {
    constructor(name?: string, factory?: IDBFactory);
    load(key: string): Promise<unknown>;
    save(key: string, value: unknown): Promise<void>;
}

/** Forgets with the page. */
export class MemoryStorage implements Storage {
    load(key: string): Promise<unknown>;
    save(key: string, value: unknown): Promise<void>;
}

export interface Position {
    epoch: bigint;
    seq: bigint;
}

export interface Message {
    /** A UUID. */
    readonly id: string;
    /** The topic that it was sent to; '' for the user's own messages. */
    readonly topic: string;
    /** Whether the sender gave `data`, as JSON; else it gave `payload`, as bytes. */
    readonly isJson: boolean;
    /** The sender's `data`, parsed; undefined where it gave a payload. */
    readonly data: any;
    readonly payload: Uint8Array | undefined;
    readonly sent: Date;
    readonly expires: Date;
    readonly collapseKey: string;
    /** The sender's priority was high. */
    readonly high: boolean;
    /** It was delayed by the loss of a region, so it is possibly out of order. */
    readonly late: boolean;
    /** The position that having this message means. */
    readonly position: Position;
}

export interface Gap {
    /** Whose; '' for the user's own messages. */
    topic: string;
    /** So many messages or fewer will not come. */
    lostAtMost: number;
    /** 1 cap, 2 rollback, 3 lapsed, 4 trimmed. */
    reason: number;
}

export interface TopicNews {
    topic: string;
    follows: boolean;
    /** 0; else why what was asked is refused. */
    code: number;
}

export type Phase = 'standby' | 'connecting' | 'live' | 'waiting' | 'offline' | 'suspended' | 'stopped' | 'closed';

export interface State {
    phase: Phase;
    /** "host:port" that it is, or was last, connected or connecting to. */
    server: string;
    /** waiting, offline, stopped: the server's code (3000-3999), or 0. */
    code?: number;
    /** waiting, offline, stopped: why, for people. */
    text?: string;
    /** waiting, offline: when the next try is made. */
    retryMs?: number;
    /** live: 1 new, 2 resumed, 3 gap. */
    verdict?: 1 | 2 | 3;
    /** live: the node's name. */
    node?: string;
}

/** What the client takes from the world, for tests and for places that are no browser. */
export interface Environment {
    /** The window: its navigator, document, indexedDB and events. */
    scope?: any;
    WebSocket?: any;
    fetch?: typeof fetch;
    /** 0 to 1, as Math.random. */
    random?: () => number;
    clock?: {
        now(): number;
        setTimeout(call: () => void, ms: number): any;
        clearTimeout(timer: any): void;
    };
}

export interface Options {
    /** Session ports, or send APIs, as URLs: wss://push.example:7400. They are asked where to connect. */
    servers: string | string[];
    /** False: servers are the session servers themselves, and nobody is asked. */
    lookup?: boolean;
    /** The app that tokens are for; others are refused here. */
    app?: string;
    /** Asked when there is none, or it expired or was refused. */
    token: string | (() => string | Promise<string>);
    /** A message, once, in order; the next comes when this is done. It is acked after that; where this fails it comes again. */
    onMessage(message: Message): void | Promise<void>;
    /** Messages were lost for good; before the next onMessage. */
    onGap?(gap: Gap): void | Promise<void>;
    onState?(state: State): void;
    /** The device follows a topic from here on, or does not: because it asked, or a backend did. */
    onTopic?(news: TopicNews): void | Promise<void>;
    /** Take messages to topics, and to "all"; default true. */
    topics?: boolean;
    storage?: Storage;
    /** Name and version, for the server's logs. */
    client?: string;
    /** The heartbeat interval wished for, in seconds; 0, the default: the server's choice. */
    heartbeatS?: number;
    /** Acks are batched for so long, or 16 messages; default 200. */
    ackDelayMs?: number;
    environment?: Environment;
}

export class Petrel {
    /** Begins to connect. Throws TypeError where the options are none. */
    constructor(options: Options);
    readonly phase: Phase;
    readonly server: string;
    readonly identity: { app?: string; user?: string; device?: string };
    /** What would be saved now; within onMessage it holds what having the message means. */
    readonly state: unknown;
    /** Those that the device follows. */
    readonly topics: string[];
    /** Resolves when the server has done it, over reconnects; rejects with RefusedError. */
    subscribe(topic: string): Promise<void>;
    unsubscribe(topic: string): Promise<void>;
    /** A token from now on; goes on where the client had stopped. */
    setToken(token: string): void;
    /** Go offline until resume(): the server keeps what comes. */
    suspend(): void;
    /** After suspend(); or where the client had stopped. */
    resume(): void;
    /** Ack what was processed, say goodbye. signOut gives up the device's route as well. Not to be waited for within onMessage. */
    close(options?: { signOut?: boolean }): Promise<void>;
}

export class RefusedError extends Error {
    readonly code: number;
}

export const VERSION: string;
export const Code: Readonly<Record<string, number>>;
export function codeName(code: number): string;
