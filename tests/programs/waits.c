/* Threads that wait, each in its own kind of system call, for a time that is given in milliseconds; nothing ever comes.
 * Per line on standard input it answers with what they have seen so far: "interrupted early rounds": calls that failed
 * with EINTR, calls that ended before their time, and the number of rounds of the slowest thread.
 *
 * Commands: "?" answers only; "c" first lets a child process end, of which nobody wants to know (SIGCHLD). */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long limit_ms;
static int quiet[2];
static long interrupted, early;
static char byte;

static struct timespec span(void) { return (struct timespec){limit_ms / 1000, limit_ms % 1000 * 1000000}; }
static struct timeval short_span(void) { return (struct timeval){limit_ms / 1000, limit_ms % 1000 * 1000}; }

static int epoll_set(void) {
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = quiet[0]};
    epoll_ctl(set, EPOLL_CTL_ADD, quiet[0], &wanted);
    return set;
}

static int limited(int type) {
    int made = socket(AF_INET, type, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = short_span();
    setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bind(made, (struct sockaddr *)&any, sizeof any);
    if (type == SOCK_STREAM)
        listen(made, 1);
    return made;
}

static long in_epoll_wait(int fd) { struct epoll_event event; return epoll_wait(fd, &event, 1, limit_ms); }
static long in_epoll_pwait(int fd) {
    struct epoll_event event;
    sigset_t none;
    sigemptyset(&none);
    return epoll_pwait(fd, &event, 1, limit_ms, &none);
}
static long in_poll(int fd) { struct pollfd one = {quiet[0], POLLIN, 0}; return poll(&one, 1, limit_ms); }
static long in_ppoll(int fd) {
    struct pollfd one = {quiet[0], POLLIN, 0};
    struct timespec limit = span();
    return ppoll(&one, 1, &limit, NULL);
}
static long in_select(int fd) {
    struct timeval limit = short_span();
    fd_set set;
    FD_ZERO(&set);
    FD_SET(quiet[0], &set);
    return select(quiet[0] + 1, &set, NULL, NULL, &limit);
}
static long in_pselect(int fd) {
    struct timespec limit = span();
    fd_set set;
    FD_ZERO(&set);
    FD_SET(quiet[0], &set);
    return pselect(quiet[0] + 1, &set, NULL, NULL, &limit, NULL);
}
static long in_accept(int fd) { return accept(fd, NULL, NULL); }
static long in_recv(int fd) { return recv(fd, &byte, 1, 0); }
static long in_read(int fd) { return read(fd, &byte, 1); }
static long in_recvmsg(int fd) {
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return recvmsg(fd, &message, 0);
}
static long in_nanosleep(int fd) { struct timespec limit = span(); return nanosleep(&limit, NULL); }
static long in_futex(int fd) {
    struct timespec limit = span();
    int word = 0;
    return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, NULL, 0);
}
static long in_sigtimedwait(int fd) {
    sigset_t wanted;
    struct timespec limit = span();
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR2);
    return sigtimedwait(&wanted, NULL, &limit);
}

static struct kind {
    const char *name;
    long (*wait)(int);
    int what; /* 0 nothing, 1 epoll, else the type of a socket */
    long rounds;
} kinds[] = {
    {"epoll_wait", in_epoll_wait, 1},  {"epoll_pwait", in_epoll_pwait, 1},   {"poll", in_poll},
    {"ppoll", in_ppoll},               {"select", in_select},                {"pselect", in_pselect},
    {"accept", in_accept, -1},         {"recv", in_recv, SOCK_DGRAM},        {"read", in_read, SOCK_DGRAM},
    {"recvmsg", in_recvmsg, SOCK_DGRAM}, {"nanosleep", in_nanosleep},        {"futex", in_futex},
    {"sigtimedwait", in_sigtimedwait},
};

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static void *run(void *argument) {
    struct kind *kind = argument;
    int fd = kind->what == 1 ? epoll_set() : kind->what == -1 ? limited(SOCK_STREAM) : kind->what ? limited(kind->what) : -1;
    for (;;) {
        double began = now_ms();
        errno = 0;
        long result = kind->wait(fd);
        int error = errno;
        double took = now_ms() - began;
        if (result < 0 && error == EINTR) {
            __sync_fetch_and_add(&interrupted, 1);
            fprintf(stderr, "%s: EINTR after %.0f ms\n", kind->name, took);
        } else if (took < limit_ms - 2) {
            __sync_fetch_and_add(&early, 1);
            fprintf(stderr, "%s: result %ld, error %d after %.1f ms\n", kind->name, result, error, took);
        }
        __sync_fetch_and_add(&kind->rounds, 1);
    }
}

int main(int count, char **arguments) {
    enum { KINDS = sizeof kinds / sizeof *kinds };
    limit_ms = atol(arguments[1]);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, quiet);
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR2);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    for (int each = 0; each < KINDS; each++) {
        pthread_t thread;
        /* Those named after the limit, or all. */
        int chosen = count < 3;
        for (int name = 2; name < count; name++)
            chosen |= !strcmp(arguments[name], kinds[each].name);
        if (chosen)
            pthread_create(&thread, NULL, run, &kinds[each]);
        else
            kinds[each].rounds = 1L << 40;
    }
    puts("ready");
    fflush(stdout);
    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        if (line[0] == 'c') {
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            waitpid(child, NULL, 0);
        }
        long slowest = kinds[0].rounds;
        for (int each = 1; each < KINDS; each++)
            if (kinds[each].rounds < slowest)
                slowest = kinds[each].rounds;
        printf("%ld %ld %ld\n", interrupted, early, slowest);
        fflush(stdout);
    }
    return 0;
}
