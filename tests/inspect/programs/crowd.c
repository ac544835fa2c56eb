// crowd THREADS: each thread waits in recv on a socket pair of its own; prints a line when all have begun.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void *wait_for_data(void *unused) {
    int ends[2];
    char byte;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) recv(ends[0], &byte, 1, 0);
    return unused;
}

int main(int count, char **words) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    for (int number = count > 1 ? atoi(words[1]) : 1; number > 0; number--) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, wait_for_data, 0)) return 1;
    }
    puts("begun");
    fflush(stdout);
    pause();
    return 0;
}
