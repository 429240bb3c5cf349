/* peer_type.h: the numbers of the peer protocol's messages. See peer.h for the words. */
#ifndef PETREL_WIRE_PEER_TYPE_H
#define PETREL_WIRE_PEER_TYPE_H

enum peer_type {
    /* of the connection itself: see peer_codec.h */
    PEER_HELLO = 1,
    PEER_PROOF = 2,
    PEER_PING = 3,
    /* 16 to 47: calls to the message role; by the session role */
    PEER_BIND = 16,
    PEER_UNBIND = 17,
    PEER_FETCH = 18,
    PEER_ACK = 19,
    PEER_CHECK = 20,
    PEER_TOPIC_INTEREST = 21,
    PEER_TOPIC_FETCH = 22, /* these four by the API role, too */
    PEER_SUBSCRIBE = 23,
    PEER_UNSUBSCRIBE = 24,
    PEER_SUBSCRIPTIONS = 25,
    /* by the API role */
    PEER_SEND = 32,
    PEER_RECALL = 33,
    PEER_STATE = 34,
    PEER_ENROL = 35,
    PEER_REMOVE = 36,
    PEER_USER = 37,
    PEER_TOPIC_SEND = 38,
    /* 48 to 63: calls to the session role, by the API role */
    PEER_SESSIONS = 48,
    PEER_DRAIN = 49,
    /* tells to the session role */
    PEER_DELIVER = 64,
    PEER_EVICT = 65,
    PEER_APPS = 66,
    PEER_DIRTY = 67, /* of the connection: tells were dropped */
    PEER_TOPIC_DELIVER = 68,
    PEER_RESUBSCRIBED = 69,
};

#endif
