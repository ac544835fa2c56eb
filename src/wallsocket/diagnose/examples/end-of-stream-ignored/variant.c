/* A poll loop: the socket stays readable for ever, and read returns 0. */
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    int pair[2];
    char buffer[100];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    write(pair[1], "hello", 5);
    close(pair[1]);
    for (int turn = 0; turn < 500; turn++) {
        struct pollfd watched = {.fd = pair[0], .events = POLLIN};
        if (poll(&watched, 1, 1000) == 1) read(pair[0], buffer, sizeof buffer);
    }
    puts("500 turns for 5 bytes");
    return 0;
}
