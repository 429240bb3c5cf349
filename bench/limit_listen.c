#include "limit_listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

int limit_listen_open(uint16_t *port)
{
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        return -1;
    *port = ntohs(at.sin_port);
    return fd;
}

/* Written aside first, for it must not be read half. */
bool limit_listen_tell(const char *dir, uint16_t session_port, uint16_t api_port)
{
    char path[400], aside[420];
    snprintf(path, sizeof path, "%s/petreld.json", dir);
    snprintf(aside, sizeof aside, "%s.new", path);
    FILE *file = fopen(aside, "we");
    if (file == NULL)
        return false;
    fprintf(file, "{\"pid\":%d,\"session\":\"127.0.0.1:%u\",\"api\":\"127.0.0.1:%u\"}\n", getpid(), session_port,
            api_port);
    return fclose(file) == 0 && rename(aside, path) == 0;
}
