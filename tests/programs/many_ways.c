// Makes and uses sockets in every way a tracer must follow; prints what it did, so that a traced run can be compared.
// Usage: many_ways CASE
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void pair(int two[2]) { check(socketpair(AF_UNIX, SOCK_STREAM, 0, two) == 0, "socketpair"); }

static void say(int fd, const char *text) { check(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write"); }

static void hear(int fd, const char *text) {
    char buffer[64] = {0};
    ssize_t got = read(fd, buffer, sizeof buffer);
    check(got == (ssize_t)strlen(text) && !memcmp(buffer, text, got), "read");
    printf("heard %s\n", text);
    fflush(stdout);
}

static void wait_for(pid_t child) {
    int status;
    check(waitpid(child, &status, 0) == child, "waitpid");
    printf("child %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    fflush(stdout);
}

static void *thread_says(void *fd) {
    say((int)(long)fd, "thread");
    return NULL;
}

static void *thread_execs(void *fd) {
    char number[16];
    snprintf(number, sizeof number, "%d", (int)(long)fd);
    execl("/proc/self/exe", "many_ways", "say", number, (char *)NULL);
    return NULL;
}

static int clone_says(void *fd) {
    say((int)(long)fd, "clone");
    return 7;
}

static void on_alarm(int number) { (void)number; }

int main(int argc, char **argv) {
    const char *way = argc > 1 ? argv[1] : "";
    int two[2];
    if (!strcmp(way, "say")) {
        say(atoi(argv[2]), "exec");
        return 5;
    }
    if (!strcmp(way, "no-socket")) {
        for (int i = 0; i < 2000; i++) {
            int fd = open("/dev/null", O_WRONLY);
            check(write(fd, "x", 1) == 1, "write");
            close(fd);
        }
        printf("done\n");
        return 0;
    }
    if (!strcmp(way, "threads")) {
        pair(two);
        for (int i = 0; i < 4; i++) {
            pthread_t thread;
            check(pthread_create(&thread, NULL, thread_says, (void *)(long)two[0]) == 0, "pthread_create");
            hear(two[1], "thread");
            pthread_join(thread, NULL);
        }
    } else if (!strcmp(way, "fork")) {
        pair(two);
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            close(two[1]);
            say(two[0], "fork");
            _exit(3);
        }
        close(two[0]);
        hear(two[1], "fork");
        wait_for(child);
    } else if (!strcmp(way, "vfork")) {
        pair(two);
        char number[16];
        snprintf(number, sizeof number, "%d", two[0]);
        fflush(stdout);
        pid_t child = vfork();
        if (!child) {
            execl("/proc/self/exe", "many_ways", "say", number, (char *)NULL);
            _exit(1);
        }
        hear(two[1], "exec");
        wait_for(child);
    } else if (!strcmp(way, "spawn")) {
        pair(two);
        char number[16];
        snprintf(number, sizeof number, "%d", two[0]);
        char *arguments[] = {"many_ways", "say", number, NULL};
        pid_t child;
        char *environment[] = {NULL};
        check(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environment) == 0, "posix_spawn");
        hear(two[1], "exec");
        wait_for(child);
    } else if (!strcmp(way, "clone")) {
        pair(two);
        char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        fflush(stdout);
        pid_t child = clone(clone_says, stack + 65536, CLONE_VM | CLONE_FILES | SIGCHLD, (void *)(long)two[0]);
        check(child > 0, "clone");
        hear(two[1], "clone");
        wait_for(child);
    } else if (!strcmp(way, "exec-from-thread")) {
        pair(two);
        fcntl(two[1], F_SETFD, FD_CLOEXEC);
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            pthread_t thread;
            pthread_create(&thread, NULL, thread_execs, (void *)(long)two[0]);
            pthread_join(thread, NULL);
            _exit(1);
        }
        hear(two[1], "exec");
        wait_for(child);
    } else if (!strcmp(way, "close-range")) {
        pair(two);
        int copy = dup(two[0]);
        check(copy > two[1], "dup");
        check(syscall(SYS_close_range, two[0], two[0], 0) == 0, "close_range");
        say(copy, "dup");
        hear(two[1], "dup");
        check(syscall(SYS_close_range, two[1], ~0U, 0) == 0, "close_range");
        printf("closed %d\n", write(copy, "x", 1) < 0 && errno == EBADF);
    } else if (!strcmp(way, "dup-to-stdin")) {
        pair(two);
        check(dup2(two[0], 0) == 0, "dup2");
        close(two[0]);
        say(two[1], "stream");
        hear(0, "stream");
    } else if (!strcmp(way, "pass")) {
        pair(two);
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            close(two[1]);
            int listener = socket(AF_INET, SOCK_STREAM, 0);
            struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
            check(bind(listener, (void *)&here, sizeof here) == 0 && listen(listener, 1) == 0, "listen");
            char room[CMSG_SPACE(sizeof listener)] = {0};
            struct iovec part = {"d", 1};
            struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
            struct cmsghdr *control = CMSG_FIRSTHDR(&message);
            control->cmsg_level = SOL_SOCKET;
            control->cmsg_type = SCM_RIGHTS;
            control->cmsg_len = CMSG_LEN(sizeof listener);
            memcpy(CMSG_DATA(control), &listener, sizeof listener);
            check(sendmsg(two[0], &message, 0) == 1, "sendmsg");
            _exit(0);
        }
        close(two[0]);
        char room[CMSG_SPACE(sizeof(int))] = {0}, byte;
        struct iovec part = {&byte, 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
        check(recvmsg(two[1], &message, 0) == 1, "recvmsg");
        int listener;
        memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof listener);
        wait_for(child);
        struct sockaddr_in here;
        socklen_t size = sizeof here;
        check(getsockname(listener, (void *)&here, &size) == 0, "getsockname");
        int client = socket(AF_INET, SOCK_STREAM, 0);
        check(connect(client, (void *)&here, sizeof here) == 0, "connect");
        int server = accept(listener, NULL, NULL);
        check(server >= 0, "accept");
        say(client, "passed");
        hear(server, "passed");
    } else if (!strcmp(way, "vectors")) {
        pair(two);
        struct iovec parts[2] = {{"vec", 3}, {"tor", 3}};
        check(writev(two[0], parts, 2) == 6, "writev");
        char one[2], rest[8];
        struct iovec rooms[2] = {{one, 2}, {rest, 8}};
        check(readv(two[1], rooms, 2) == 6, "readv");
        printf("heard %.2s%.4s\n", one, rest);
    } else if (!strcmp(way, "many-messages")) {
        int one = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t size = sizeof here;
        check(bind(other, (void *)&here, size) == 0 && getsockname(other, (void *)&here, &size) == 0, "bind");
        check(connect(one, (void *)&here, size) == 0, "connect");
        struct iovec parts[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
        struct mmsghdr messages[3] = {0};
        for (int i = 0; i < 3; i++) {
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        printf("sent %d\n", sendmmsg(one, messages, 3, 0));
        char rooms[3][8];
        for (int i = 0; i < 3; i++) parts[i] = (struct iovec){rooms[i], 8};
        printf("received %d\n", recvmmsg(other, messages, 3, MSG_DONTWAIT, NULL));
    } else if (!strcmp(way, "files")) {
        int file = memfd_create("file", 0), pipes[2];
        check(write(file, "from a file", 11) == 11 && pipe(pipes) == 0, "file");
        pair(two);
        off_t at = 0;
        check(sendfile(two[0], file, &at, 11) == 11, "sendfile");
        hear(two[1], "from a file");
        check(write(pipes[1], "spliced", 7) == 7, "pipe");
        check(splice(pipes[0], NULL, two[0], NULL, 7, 0) == 7, "splice");
        check(splice(two[1], NULL, pipes[1], NULL, 7, 0) == 7, "splice");
        hear(pipes[0], "spliced");
    } else if (!strcmp(way, "waits")) {
        pair(two);
        struct pollfd set[2] = {{two[0], POLLOUT, 0}, {two[1], POLLIN, 0}};
        printf("poll %d\n", poll(set, 2, 1000));
        fd_set reading;
        FD_ZERO(&reading);
        FD_SET(two[1], &reading);
        struct timeval soon = {0, 1000};
        printf("select %d\n", select(two[1] + 1, &reading, NULL, NULL, &soon));
        int set_fd = epoll_create1(0);
        struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 0x1234567890};
        check(epoll_ctl(set_fd, EPOLL_CTL_ADD, two[0], &event) == 0, "epoll_ctl");
        printf("epoll %d\n", epoll_wait(set_fd, &event, 1, 1000));
        int waiting = 0;
        say(two[0], "abc");
        check(ioctl(two[1], FIONREAD, &waiting) == 0, "ioctl");
        printf("FIONREAD %d\n", waiting);
        int on = 1;
        check(ioctl(two[1], FIONBIO, &on) == 0, "ioctl");
        printf("flags %d\n", !!(fcntl(two[1], F_GETFL) & O_NONBLOCK));
    } else if (!strcmp(way, "interrupted")) {
        pair(two);
        struct sigaction action = {.sa_handler = on_alarm};
        sigaction(SIGALRM, &action, NULL);
        alarm(1);
        char byte;
        printf("recv %d\n", recv(two[1], &byte, 1, 0) < 0 && errno == EINTR);
        action.sa_flags = SA_RESTART;
        sigaction(SIGALRM, &action, NULL);
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            sleep(2);
            say(two[0], "late");
            _exit(0);
        }
        alarm(1);
        hear(two[1], "late");
        struct pollfd set = {two[1], POLLIN, 0};
        kill(getpid(), SIGCONT);
        printf("poll %d\n", poll(&set, 1, 10));
        wait_for(child);
    } else if (!strcmp(way, "families")) {
        int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_VSOCK, AF_PACKET, 44, 99};
        for (unsigned i = 0; i < sizeof families / sizeof *families; i++) {
            int fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            printf("%d %s\n", families[i], fd < 0 ? strerror(errno) : "ok");
        }
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0wallsocket test"};
        printf("connect %s\n", connect(fd, (void *)&name, 18) ? strerror(errno) : "ok");
        fd = socket(AF_INET6, SOCK_DGRAM, 0);
        struct sockaddr_in6 zone = {.sin6_family = AF_INET6, .sin6_port = htons(53), .sin6_scope_id = 1};
        inet_pton(AF_INET6, "fe80::1", &zone.sin6_addr);
        connect(fd, (void *)&zone, sizeof zone);
    } else if (!strcmp(way, "wrong")) {
        char byte;
        printf("%d\n", (int)recv(1000, &byte, 1, 0));
        printf("%d\n", (int)send(1, "x", 1, MSG_NOSIGNAL));
        pair(two);
        printf("%d\n", (int)send(two[0], (void *)8, 100, MSG_NOSIGNAL));
        printf("%d\n", (int)recv(two[0], (void *)8, 100, MSG_DONTWAIT));
        printf("%d\n", connect(two[0], (void *)8, 100000));
        printf("%d\n", poll((void *)8, 3, 0));
        printf("%d\n", (int)recvmsg(two[0], (void *)8, MSG_DONTWAIT));
        printf("%d\n", setsockopt(two[0], SOL_SOCKET, SO_RCVBUF, (void *)8, 4));
    } else if (!strcmp(way, "io-uring")) {
        char parameters[120] = {0};
        long fd = syscall(SYS_io_uring_setup, 4, parameters);
        printf("io_uring %s\n", fd < 0 ? strerror(errno) : "ok");
    } else if (!strcmp(way, "killed")) {
        pair(two);
        fflush(stdout);
        raise(SIGKILL);
    } else if (!strcmp(way, "own-filter")) {
        // A filter of its own that forbids seccomp() with EPERM, installed before the first socket.
        struct { unsigned short code; unsigned char yes, no; unsigned k; } program[] = {
            {0x20, 0, 0, 0}, {0x15, 0, 1, SYS_seccomp}, {0x06, 0, 0, 0x00050000 | EPERM}, {0x06, 0, 0, 0x7fff0000}};
        struct { unsigned short length; void *filter; } header = {4, program};
        check(syscall(SYS_prctl, 38, 1, 0, 0, 0) == 0, "no_new_privs");
        check(syscall(SYS_seccomp, 1, 0, &header) == 0, "seccomp");
        pair(two);
        say(two[0], "filtered");
        hear(two[1], "filtered");
    } else {
        fprintf(stderr, "no such case\n");
        return 2;
    }
    return 0;
}
