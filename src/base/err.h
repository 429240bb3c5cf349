/* err.h: the one table of errors.
 *
 * Functions return 0 or a negative petrel_err. Every code has a stable NAME, which the API shows as `status` and logs
 * print, and a text for people. To add an error: add a line here; nothing else knows the list. */
#ifndef PETREL_BASE_ERR_H
#define PETREL_BASE_ERR_H

#define PETREL_ERR_TABLE(X)                                                                                            \
    X(1, INVALID, "a value is not of the form or range that is asked for")                                             \
    X(2, TOO_LARGE, "larger than the limit that applies")                                                              \
    X(3, NOT_FOUND, "no such thing")                                                                                   \
    X(4, EXISTS, "a thing of that name exists already")                                                                \
    X(5, CONFLICT, "the same key was used with another request")                                                       \
    X(6, UNAUTHENTICATED, "no valid credentials")                                                                      \
    X(7, FORBIDDEN, "the credentials do not allow this")                                                               \
    X(8, EXPIRED, "its time is over")                                                                                  \
    X(9, REVOKED, "the device or key was revoked")                                                                     \
    X(10, UNREGISTERED, "the target has no such device")                                                               \
    X(11, BUSY, "as much work is under way as is allowed; try again later")                                            \
    X(12, RATE_LIMITED, "too many requests for this target; try again later")                                          \
    X(13, FULL, "the disk or the store is full; try again later")                                                      \
    X(14, UNAVAILABLE, "the service behind this did not answer; whether it acted is unknown")                          \
    X(15, TIMEOUT, "no answer within the deadline; whether it acted is unknown")                                       \
    X(16, CLOSING, "shutting down")                                                                                    \
    X(17, CANCELLED, "given up by the caller")                                                                         \
    X(18, STALE, "an older attempt or an older session; a newer one holds the place")                                  \
    X(19, ALREADY_DELIVERED, "the message may have reached a device already")                                          \
    X(20, PROTOCOL, "the peer broke the protocol")                                                                     \
    X(21, EOF, "the peer closed the connection")                                                                       \
    X(22, IO, "the operating system reported an error")                                                                \
    X(23, NOMEM, "out of memory")                                                                                      \
    X(24, INTERNAL, "an error of the server's own")                                                                    \
    X(25, NEED_MORE, "the input is not complete yet")                                                                  \
    X(26, UNSUPPORTED, "not supported by this version")                                                                \
    X(27, LOCKED, "in use by another process")

enum petrel_err {
    PETREL_OK = 0,
#define PETREL_ERR_ENUM(num, name, text) PETREL_E_##name = -(num),
    PETREL_ERR_TABLE(PETREL_ERR_ENUM)
#undef PETREL_ERR_ENUM
};

/* The stable name ("TOO_LARGE"; "OK" for 0; "INTERNAL" for a number that is no code). Static storage; any thread. */
const char *err_name(int err);

/* The text for people, without a final full stop. Static storage; any thread. */
const char *err_text(int err);

/* The petrel_err that stands for a positive errno (ENOSPC, EDQUOT -> FULL, ENOMEM -> NOMEM, ...; else IO). */
int err_from_errno(int errnum);

#endif
