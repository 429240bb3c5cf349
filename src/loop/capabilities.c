#include "loop/capabilities.h"

#include "base/object.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

/* capset(2) has no wrapper in libc, and libcap is more than this. */
static bool set(unsigned bits)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{.effective = bits, .permitted = bits}};
    return syscall(SYS_capset, &header, data) == 0;
}

bool capabilities_keep_bind(void)
{
    return set(1U << CAP_NET_BIND_SERVICE);
}

/* A sandbox that gives a process none may well forbid capset(2), too. */
static bool has_any(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    petrel_assert(syscall(SYS_capget, &header, data) == 0);
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        if ((data[i].permitted | data[i].effective | data[i].inheritable) != 0)
            return true;
    }
    return false;
}

void capabilities_shed(void)
{
    if (geteuid() != 0 && has_any())
        petrel_assert(set(0)); /* giving up needs no right */
}
