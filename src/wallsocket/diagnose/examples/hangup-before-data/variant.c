// An epoll server handles EPOLLRDHUP first, and closes connections whose last request it has not read.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    if (fork() == 0) {
        close(listener);
        int client = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(client, (struct sockaddr *)&address, size)) _exit(1);
        char value[] = "temperature 21.5\n";
        send(client, value, sizeof value - 1, 0);
        shutdown(client, SHUT_WR);
        char rest;
        if (recv(client, &rest, 1, 0) < 0) perror("client: recv");
        _exit(0);
    }
    int connection = accept(listener, NULL, NULL);
    int loop = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLRDHUP, .data.fd = connection};
    epoll_ctl(loop, EPOLL_CTL_ADD, connection, &event);
    epoll_wait(loop, &event, 1, -1);
    if (event.events & (EPOLLRDHUP | EPOLLHUP)) {
        close(connection);
        puts("peer has gone");
    } else {
        char data[256];
        printf("%zd bytes\n", recv(connection, data, sizeof data, 0));
        close(connection);
    }
    wait(NULL);
    return 0;
}
