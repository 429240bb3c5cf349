#include "base/err.h"

#include <errno.h>

const char *err_name(int err)
{
    switch (err) {
    case PETREL_OK:
        return "OK";
#define ERR_NAME_CASE(num, name, text)                                                                                 \
    case PETREL_E_##name:                                                                                              \
        return #name;
        PETREL_ERR_TABLE(ERR_NAME_CASE)
#undef ERR_NAME_CASE
    default:
        return "INTERNAL";
    }
}

const char *err_text(int err)
{
    switch (err) {
    case PETREL_OK:
        return "no error";
#define ERR_TEXT_CASE(num, name, text)                                                                                 \
    case PETREL_E_##name:                                                                                              \
        return text;
        PETREL_ERR_TABLE(ERR_TEXT_CASE)
#undef ERR_TEXT_CASE
    default:
        return err_text(PETREL_E_INTERNAL);
    }
}

int err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return PETREL_OK;
    case EINVAL:
    case EAFNOSUPPORT:
        return PETREL_E_INVALID;
    case ENOENT:
        return PETREL_E_NOT_FOUND;
    case EEXIST:
    case EADDRINUSE:
        return PETREL_E_EXISTS;
    case EACCES:
    case EPERM:
        return PETREL_E_FORBIDDEN;
    case EBUSY:
        return PETREL_E_LOCKED;
    case ENOSPC:
    case EDQUOT:
        return PETREL_E_FULL;
    case ENOMEM:
        return PETREL_E_NOMEM;
    case ETIMEDOUT:
        return PETREL_E_TIMEOUT;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return PETREL_E_UNAVAILABLE;
    case EFBIG:
    case EMSGSIZE:
        return PETREL_E_TOO_LARGE;
    default:
        return PETREL_E_IO;
    }
}
