/* A receiver takes a little now and then; the sender, who does not block, waits for room and gives up. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char block[65536];

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int s, listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, length);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &length);
    if (fork() == 0) {
        int c = accept(listener, NULL, NULL);
        for (int i = 0; i < 12; i++) {
            if (read(c, block, 4096) < 0)
                _exit(1);
            usleep(200000); /* works on it */
        }
        close(c);
        _exit(0);
    }
    close(listener);
    s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&address, length))
        return 1;
    fcntl(s, F_SETFL, O_NONBLOCK);
    for (size_t sent = 0;;) {
        struct pollfd room = {s, POLLOUT, 0};
        ssize_t took = send(s, block + sent, sizeof block - sent, MSG_NOSIGNAL);
        if (took >= 0)
            sent = (sent + took) % sizeof block;
        else if (errno != EAGAIN || poll(&room, 1, 4000) <= 0)
            break;
    }
    puts("given up");
    close(s);
    wait(NULL);
    return 0;
}
