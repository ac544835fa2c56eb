// What a program may do to a library that is loaded into it and records its calls; prints what became of it.
// Usage: preloaded CASE
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int two[2];
static const char *self;

static void pair(void) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, two)) exit(1);
}

static void said(const char *what, long result) {
    printf("%s %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
    fflush(stdout);
}

// One byte there and back, so many times.
static void talk(int times) {
    char byte = 'x';
    for (int i = 0; i < times; i++)
        if (send(two[0], &byte, 1, 0) != 1 || recv(two[1], &byte, 1, 0) != 1) exit(2);
}

// Every call that the library takes over, once, with whatever it can be given.
static void every(void) {
    char buffer[8192] = "";
    struct iovec vector[3] = {{"one", 3}, {"", 0}, {"three", 5}}, into[2] = {{buffer, 2}, {buffer + 100, 100}};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 3}, answer = {.msg_iov = into, .msg_iovlen = 2};
    struct pollfd set[2] = {{.fd = two[1], .events = POLLIN | POLLOUT}, {.fd = -1}};
    struct timespec moment = {0, 1000000};
    struct timeval instant = {0, 1000};
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1234567890}, events[4], many[1000];
    fd_set reading;
    int epoll = epoll_create1(0);
    errno = 0;
    said("write", write(two[0], "hello", 5));
    said("read", read(two[1], buffer, 3));
    said("recv", recv(two[1], buffer, sizeof buffer, 0));
    said("writev", writev(two[0], vector, 3));
    said("readv", readv(two[1], into, 2));
    said("sendmsg", sendmsg(two[0], &message, MSG_NOSIGNAL));
    said("recvmsg", recvmsg(two[1], &answer, 0));
    said("recv", recv(two[1], buffer, sizeof buffer, MSG_DONTWAIT));
    said("poll", poll(set, 2, 10));
    said("ppoll", ppoll(set, 2, &moment, NULL));
    said("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, two[1], &event));
    said("epoll_wait", epoll_wait(epoll, events, 4, 1));
    said("sendto", sendto(two[0], "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 48, 0, NULL, 0));
    said("epoll_wait", epoll_wait(epoll, events, 4, 1000));
    said("epoll_wait", epoll_wait(epoll, many, 1000, 1000));
    said("epoll_pwait", epoll_pwait(epoll, events, 4, -1, NULL));
    said("recvfrom", recvfrom(two[1], buffer, sizeof buffer, MSG_PEEK, NULL, NULL));
    FD_ZERO(&reading);
    FD_SET(two[1], &reading);
    said("select", select(two[1] + 1, &reading, NULL, NULL, &instant));
    said("pselect", pselect(two[1] + 1, &reading, NULL, NULL, &moment, NULL));
    said("recv", recv(two[1], buffer, sizeof buffer, 0));
    memset(buffer, 'y', sizeof buffer);
    said("send", send(two[0], buffer, sizeof buffer, 0));
    said("read", read(two[1], buffer, sizeof buffer));
    said("moment", moment.tv_nsec);
    said("file", write(STDOUT_FILENO, "", 0));
    said("recv", recv(99, buffer, 1, 0));
    said("recv", recv(STDOUT_FILENO, buffer, 1, 0));
    shutdown(two[0], SHUT_WR);
    said("recv", recv(two[1], buffer, 1, 0));
    said("send", send(two[0], buffer, 1, MSG_NOSIGNAL));
    close(epoll);
}

static void wild(void) {
    char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct msghdr message = {.msg_iov = (void *)nowhere, .msg_iovlen = 2};
    said("send", send(two[0], nowhere, 10, 0));
    said("recv", recv(two[1], nowhere, 10, MSG_DONTWAIT));
    said("write", write(two[0], "xy", 2));
    said("read", read(two[1], nowhere, 10));
    said("read", read(two[1], (void *)-1, 10));
    said("writev", writev(two[0], (void *)nowhere, 2));
    said("sendmsg", sendmsg(two[0], (void *)nowhere, 0));
    said("sendmsg", sendmsg(two[0], &message, 0));
    said("sendto", sendto(two[0], "x", 1, 0, (void *)nowhere, 16));
    said("poll", poll((void *)nowhere, 2, 0));
    said("poll", poll((void *)-8, 2, 0));
    said("select", select(10, (void *)nowhere, NULL, NULL, NULL));
    said("recvfrom", recvfrom(two[1], nowhere, 1, MSG_DONTWAIT, (void *)nowhere, (void *)nowhere));
    said("sendmmsg", sendmmsg(two[0], (void *)nowhere, 2, 0));
}

static sigjmp_buf place;
static void jump(int number) { (void)number, siglongjmp(place, 1); }
static void speak(int number) { (void)number, send(two[0], "signal", 6, 0); }

static void split(int number) {
    (void)number;
    // The child goes on in its parent's call: each of the two gets one of these.
    if (fork() == 0) send(two[0], "equalequal", 10, 0);
}

static void after(void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGALRM, &action, NULL);
    ualarm(20000, 0);
}

static void clean(void *unused) { (void)unused, printf("cleaned up\n"), fflush(stdout); }

// A child that was made by clone(2), in its parent's memory or a copy.
static int cloned(void *unused) {
    (void)unused;
    talk(5);
    write(two[0], "clone", 5);
    return 0;
}

static void clones(int flags) {
    static char stack[1 << 16];
    char buffer[5];
    int child = clone(cloned, stack + sizeof stack, flags | SIGCHLD, NULL);
    waitpid(child, NULL, 0);
    said("heard", recv(two[1], buffer, sizeof buffer, 0));
    talk(5);
}

// Calls of a library that is loaded later, with its own idea of where functions are looked for.
static void loads(const char *library, int flags) {
    void *loaded = dlopen(library, RTLD_NOW | flags);
    void (*speaks)(int, int) = loaded ? (void (*)(int, int))dlsym(loaded, "speaks") : NULL;
    if (!speaks) exit(4);
    for (int i = 0; i < 5; i++) speaks(two[0], two[1]);
    dlclose(loaded);
    talk(5);
}

static void *waits(void *unused) {
    char byte;
    (void)unused;
    talk(3);
    pthread_cleanup_push(clean, NULL);
    recv(two[1], &byte, 1, 0);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *talks(void *unused) {
    int mine[2];
    char byte = 'x';
    (void)unused;
    socketpair(AF_UNIX, SOCK_STREAM, 0, mine);
    for (int i = 0; i < 100; i++)
        if (send(mine[0], &byte, 1, 0) != 1 || recv(mine[1], &byte, 1, 0) != 1) exit(3);
    close(mine[0]), close(mine[1]);
    return NULL;
}

int main(int count, char **words) {
    const char *name = count > 1 ? words[1] : "";
    char buffer[64] = "";
    pthread_t threads[8];
    pid_t child;
    self = words[0];
    pair();
    talk(2);  // the tracer sees these, and lets the library have what follows
    if (!strcmp(name, "every")) every();
    else if (!strcmp(name, "wild")) wild();
    else if (!strcmp(name, "many")) talk(20000);
    else if (!strcmp(name, "fork")) {
        for (int i = 0; i < 3; i++)
            if ((child = fork()) == 0) pair(), talk(10), _exit(7);
            else talk(10), waitpid(child, NULL, 0);
    } else if (!strcmp(name, "vfork")) {
        for (int i = 0; i < 3; i++) {
            if ((child = vfork()) == 0) write(two[0], "vfork", 5), _exit(0);
            said("heard", recv(two[1], buffer, sizeof buffer, 0));
            waitpid(child, NULL, 0);
        }
    } else if (!strcmp(name, "exec")) {
        dup2(two[1], STDIN_FILENO);
        talk(5);
        execl(self, self, "heir", NULL);
    } else if (!strcmp(name, "spawn")) {
        char *arguments[] = {(char *)self, "heir", NULL};
        for (int i = 0; i < 3; i++) {
            if (posix_spawn(&child, self, NULL, NULL, arguments, environ)) exit(3);
            waitpid(child, NULL, 0);
            talk(5);
        }
    } else if (!strcmp(name, "clones")) {
        clones(0);
    } else if (!strcmp(name, "clones-vm")) {
        clones(CLONE_VM);
        clones(CLONE_VM | CLONE_VFORK);
    } else if (!strcmp(name, "loads")) {
        loads(words[2], RTLD_LOCAL);
        loads(words[2], RTLD_LOCAL | RTLD_DEEPBIND);
    } else if (!strcmp(name, "heir")) {
        talk(5);
    } else if (!strcmp(name, "without")) {
        // Its children are told of no library: the tracer alone sees them.
        char *nothing[] = {NULL}, *arguments[] = {(char *)self, "heir", NULL};
        if ((child = fork()) == 0) execve(self, arguments, nothing);
        waitpid(child, NULL, 0);
        talk(5);
    } else if (!strcmp(name, "closes")) {
        closefrom(3);
        pair();
        talk(5);
    } else if (!strcmp(name, "blocked")) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        talk(5);
    } else if (!strcmp(name, "killed")) {
        talk(1000);
        kill(getpid(), SIGKILL);
    } else if (!strcmp(name, "killed-waiting")) {
        talk(10);
        if ((child = fork()) == 0) sleep(1), kill(getppid(), SIGKILL), _exit(0);
        recv(two[1], buffer, 1, 0);
    } else if (!strcmp(name, "aborts")) {
        talk(1000);
        abort();
    } else if (!strcmp(name, "threads")) {
        for (int round = 0; round < 5; round++) {
            for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, talks, NULL);
            for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
        }
    } else if (!strcmp(name, "cancelled")) {
        void *value;
        pthread_create(&threads[0], NULL, waits, NULL);
        usleep(50000);
        pthread_cancel(threads[0]);
        pthread_join(threads[0], &value);
        said("cancelled", value == PTHREAD_CANCELED);
        talk(3);
    } else if (!strcmp(name, "handler")) {
        after(speak, SA_RESTART);
        said("heard", recv(two[1], buffer, sizeof buffer, 0));
    } else if (!strcmp(name, "interrupted")) {
        after(speak, 0);
        said("recv", recv(two[1], buffer, sizeof buffer, 0));
        said("heard", recv(two[1], buffer, sizeof buffer, 0));
    } else if (!strcmp(name, "jump")) {
        after(jump, 0);
        if (!sigsetjmp(place, 1)) recv(two[1], buffer, sizeof buffer, 0);
        talk(5);
    } else if (!strcmp(name, "split")) {
        after(split, SA_RESTART);
        child = getpid();
        long got = recv(two[1], buffer, 5, 0);
        if (getpid() != child) talk(3), _exit(0);
        wait(NULL);
        talk(3);
        said("heard", got);
    } else if (!strcmp(name, "overwritten")) {
        // Its shared memory is the tracer's, too, which must survive what is written there.
        talk(5);
        FILE *maps = fopen("/proc/self/maps", "r");
        char line[512];
        unsigned long start, end;
        while (fgets(line, sizeof line, maps))
            if (strstr(line, "memfd:wallsocket") && sscanf(line, "%lx-%lx", &start, &end) == 2 && end - start == 516 << 10) // a ring: wallsocket_ring::ring::SIZE
                memset((void *)start, 0xA5, end - start);
        fclose(maps);
        talk(5);
    } else return 9;
    said("end", 0);
    return 0;
}
