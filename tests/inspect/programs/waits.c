/* Threads that wait in different calls; prints its port when all do. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static int client, accepted, listener;

static void *in_recv(void *unused) {
    char byte;
    recv(accepted, &byte, 1, 0);
    return unused;
}
static void *in_poll(void *unused) {
    struct pollfd entry = {.fd = client, .events = POLLIN};
    poll(&entry, 1, 77000);
    return unused;
}
static void *in_select(void *unused) {
    fd_set set;
    struct timeval limit = {.tv_sec = 55, .tv_usec = 500000};
    FD_ZERO(&set);
    FD_SET(accepted, &set);
    FD_SET(client, &set);
    select((accepted > client ? accepted : client) + 1, &set, NULL, NULL, &limit);
    return unused;
}
static void *in_epoll(void *unused) {
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, got;
    epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
    epoll_wait(epoll, &got, 1, -1);
    return unused;
}
static void *in_accept(void *unused) {
    accept(listener, NULL, NULL);
    return unused;
}
static void *in_read(void *unused) {
    int ends[2];
    char byte;
    if (pipe(ends) == 0) (void)!read(ends[0], &byte, 1);
    return unused;
}

int main(void) {
    void *(*jobs[])(void *) = {in_recv, in_poll, in_select, in_epoll, in_accept, in_read};
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&where, size) || listen(listener, 7)) return 1;
    getsockname(listener, (struct sockaddr *)&where, &size);
    client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&where, size)) return 2;
    accepted = accept(listener, NULL, NULL);
    for (unsigned at = 0; at < sizeof jobs / sizeof *jobs; at++) {
        pthread_t thread;
        pthread_create(&thread, NULL, jobs[at], NULL);
    }
    printf("%d\n", ntohs(where.sin_port));
    fflush(stdout);
    pause();
    return 0;
}
