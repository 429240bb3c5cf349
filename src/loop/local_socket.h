/* local_socket.h: the file of a listening Unix socket. Private to this room.
 *
 * It takes the place of one that a server left behind that died, never of one that is answered, nor of anything that is no socket. From
 * its first moment on it is for its owner only, until it is given to a group. */
#ifndef PETREL_LOOP_LOCAL_SOCKET_H
#define PETREL_LOOP_LOCAL_SOCKET_H

#include <stdint.h>

#define LOCAL_SOCKET_NOBODY UINT32_MAX /* no group */

struct local_socket;

/* Bind fd (AF_UNIX) to path and listen. group: whose members may connect, besides the owner. 0; PETREL_E_INVALID: the path is longer than the kernel
 * takes, or something else stands there; PETREL_E_EXISTS: a process answers there; PETREL_E_NOT_FOUND: no such directory;
 * PETREL_E_FORBIDDEN: the directory, or the group, is not the process's to use; PETREL_E_IO. fd is the caller's in any case. */
int local_socket_listen(struct local_socket **out, int fd, const char *path, uint32_t group, int backlog);
/* Remove the file, where it is still ours. NULL inside is fine. */
void local_socket_remove(struct local_socket **socket);

#endif
