/* Programs that are hard to trace. Each prints what it finds, always the same where nothing disturbs it.
 *
 * hostile                  the names
 * hostile NAME [wait]      one of them; "wait": it begins when a byte arrives on standard input
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char stack[1 << 18];

static void say(const char *what, long result)
{
    char text[120];
    int length = result < 0 ? snprintf(text, sizeof text, "%s: %s\n", what, strerrorname_np(errno))
                            : snprintf(text, sizeof text, "%s: %ld\n", what, result);
    if (write(1, text, (size_t)length) != length)
        _exit(90);
}

/* Rounds that bytes make through a new pair of sockets; they use all that a filter may forbid as little as possible. */
static long rounds(void)
{
    int ends[2];
    long count = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        return -1;
    for (char byte = 0; byte < 5; byte++) {
        char back = -1;
        if (write(ends[0], &byte, 1) != 1 || read(ends[1], &back, 1) != 1)
            return -1;
        count += back == byte;
    }
    return count;
}

static void pause_ms(long milliseconds)
{
    struct timespec rest = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&rest, &rest) && errno == EINTR)
        ;
}

static void fate(const char *who, int pid)
{
    int status = 0;
    while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
        ;
    char what[80];
    snprintf(what, sizeof what, "%s %s", who, WIFEXITED(status) ? "exited" : WCOREDUMP(status) ? "dumped by" : "killed by");
    say(what, WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* Runs a function in a child and says how that ended. */
static void in_child(void (*run)(void))
{
    int pid = fork();
    if (pid == 0) {
        run();
        syscall(SYS_exit_group, 17);
    }
    fate("child", pid);
}

/* ── children that no tracer shall see ── */

static int untraced_child(void *unused)
{
    say("rounds in the child", rounds());
    _exit(11);
}

static void untraced_clone(void)
{
    for (int i = 0; i < 2; i++) {
        int pid = clone(untraced_child, stack + sizeof stack, CLONE_UNTRACED | SIGCHLD, NULL);
        fate("child", pid);
        say("rounds", rounds());
    }
    errno = 0;
    say("impossible clone", syscall(SYS_clone, CLONE_UNTRACED | CLONE_SIGHAND, 0, 0, 0, 0));
}

static void untraced_clone3(void)
{
    struct clone_args given = {.flags = CLONE_UNTRACED, .exit_signal = SIGCHLD};
    for (int i = 0; i < 2; i++) {
        long pid = syscall(SYS_clone3, &given, sizeof given);
        if (pid == 0) {
            say("flags in the child are as given", given.flags == CLONE_UNTRACED);
            untraced_child(NULL);
        }
        fate("child", (int)pid);
        say("flags are as given", given.flags == CLONE_UNTRACED);
    }
    given.flags = CLONE_UNTRACED | CLONE_SIGHAND;
    say("impossible clone3", syscall(SYS_clone3, &given, sizeof given));
    say("flags are as given", given.flags == (CLONE_UNTRACED | CLONE_SIGHAND));
}

/* ── filters of its own ── */

static long forbid(int number, unsigned answer, unsigned flags)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

/* Only what rounds() and say() need is allowed. */
static void allow_little(unsigned otherwise)
{
    static const int allowed[] = {SYS_read, SYS_write, SYS_socketpair, SYS_exit_group, SYS_rt_sigreturn};
    struct sock_filter program[16] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    unsigned short length = 1;
    for (unsigned i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
    struct sock_fprog filter = {length, program};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    say("filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
    say("rounds", rounds());
}

static void kill_process(void) { allow_little(SECCOMP_RET_KILL_PROCESS); }
static void kill_thread(void) { allow_little(SECCOMP_RET_KILL_THREAD); }
static void kill_after(void) { allow_little(SECCOMP_RET_KILL_PROCESS), syscall(SYS_getppid); }
static void only_errors(void) { allow_little(SECCOMP_RET_ERRNO | EXDEV), say("getppid", syscall(SYS_getppid)); }

static void trapped(int number, siginfo_t *information, void *context)
{
    say("trapped call", information->si_syscall);
}

static void only_traps(void)
{
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, NULL);
    allow_little(SECCOMP_RET_TRAP);
    syscall(SYS_getppid);
    syscall(SYS_shutdown, -1, 0);
}

static void filter_kills(void) { in_child(kill_process), in_child(kill_thread), in_child(kill_after); }
static void filter_kills_later(void) { say("rounds", rounds()), filter_kills(); }
static void filter_fails(void) { in_child(only_errors); }
static void filter_traps(void) { in_child(only_traps); }

static void filter_wants_tracer(void)
{
    int ends[2];
    say("filter", forbid(SYS_getppid, SECCOMP_RET_TRACE | 7, 0));
    say("getppid", syscall(SYS_getppid));
    say("rounds", rounds());
    say("filter", forbid(SYS_shutdown, SECCOMP_RET_TRACE | 8, 0));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0)
        say("shutdown", shutdown(ends[0], SHUT_WR));
    say("rounds", rounds());
}

static void filter_forbids_ours(void)
{
    static const int numbers[] = {SYS_mmap, SYS_munmap, SYS_seccomp};
    for (int i = 0; i < 3; i++) {
        int pid = fork();
        if (pid == 0) {
            say("filter", forbid(numbers[i], SECCOMP_RET_KILL_PROCESS, 0));
            say("rounds", rounds());
            dup2(socket(AF_UNIX, SOCK_STREAM, 0), 0);
            say("read from a socket that is standard input", read(0, &pid, 1));
            _exit(3);
        }
        fate("child", pid);
    }
}

static void filter_logs(void)
{
    say("filter", forbid(SYS_getppid, SECCOMP_RET_LOG, 0));
    say("getppid works", syscall(SYS_getppid) > 0);
    say("rounds", rounds());
}

static void *answer(void *listener)
{
    for (int i = 0; i < 2; i++) {
        struct seccomp_notif question = {0};
        struct seccomp_notif_resp reply = {0};
        if (ioctl(*(int *)listener, SECCOMP_IOCTL_NOTIF_RECV, &question))
            break;
        reply.id = question.id;
        reply.error = i ? 0 : -EXDEV;
        reply.flags = i ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
        ioctl(*(int *)listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
    }
    return NULL;
}

static void filter_asks(void)
{
    pthread_t thread;
    int listener = (int)forbid(SYS_socketpair, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    say("listener", listener >= 0);
    pthread_create(&thread, NULL, answer, &listener);
    say("rounds", rounds());
    say("rounds", rounds());
    pthread_join(thread, NULL);
}

static void be_strict(void) { say("strict", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)); }
static void be_good(void) { say("rounds", rounds()), be_strict(), say("in strict mode", 0), syscall(SYS_exit, 3); }
static void be_bad(void) { be_strict(), say("in strict mode", 0), syscall(SYS_getppid), say("never", 0); }
static void be_strict_otherwise(void) { say("strict", syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL)), syscall(SYS_exit, 4); }
static void be_filtered_first(void) { say("filter", forbid(SYS_getppid, SECCOMP_RET_ERRNO | 1, 0)), be_strict(); }
static void strict(void)
{
    in_child(be_good), in_child(be_bad), in_child(be_strict_otherwise), in_child(be_filtered_first);
    say("strict with flags", syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
}

/* ── signals ── */

static volatile sig_atomic_t handled, disorder;
static int in_handler[2];

static void queued(int number, siginfo_t *information, void *context)
{
    char byte = 1;
    disorder |= information->si_code != SI_QUEUE || information->si_value.sival_int != handled;
    handled++;
    disorder |= write(in_handler[0], &byte, 1) != 1 || read(in_handler[1], &byte, 1) != 1;
}

static void signals_in_order(void)
{
    struct sigaction action = {.sa_sigaction = queued, .sa_flags = SA_SIGINFO | SA_RESTART};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, in_handler))
        return;
    sigaction(SIGRTMIN + 5, &action, NULL);
    int pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 300; i++) {
            union sigval value = {.sival_int = i};
            while (sigqueue(getppid(), SIGRTMIN + 5, value))
                sched_yield();
        }
        _exit(0);
    }
    while (handled < 300)
        if (rounds() != 5)
            disorder = 1;
    fate("sender", pid);
    say("handled", handled);
    say("disorder", disorder);
}

static void first_socket_here(int number) { say("rounds in a handler", rounds()); }

static void first_socket_in_handler(void)
{
    signal(SIGUSR1, first_socket_here);
    raise(SIGUSR1);
    say("rounds", rounds());
}

static sigjmp_buf back;
static void jump(int number) { siglongjmp(back, 1); }

static void jumps_out_of_a_call(void)
{
    struct sigaction action = {.sa_handler = jump};
    volatile int jumps = 0;
    int ends[2];
    char byte;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        return;
    sigaction(SIGALRM, &action, NULL);
    while (jumps < 20) {
        struct itimerval soon = {.it_value = {0, 2000}};
        if (sigsetjmp(back, 1)) {
            jumps++;
            continue;
        }
        setitimer(ITIMER_REAL, &soon, NULL);
        say("never", read(ends[0], &byte, 1));
    }
    say("jumps", jumps);
    say("rounds", rounds());
}

/* Stopped and continued while it waits: some calls end with EINTR, also without a handler (signal(7)). */
static void stop_and_continue(void)
{
    int ends[2], me = getpid(), poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    struct timeval limit = {20, 0};
    char byte;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        return;
    epoll_ctl(poller, EPOLL_CTL_ADD, ends[0], &event);
    for (int kind = 0; kind < 4; kind++) {
        int pid = fork();
        if (pid == 0) {
            char path[40], state[200];
            snprintf(path, sizeof path, "/proc/%d/stat", me);
            pause_ms(100);
            kill(me, SIGSTOP);
            do {
                /* Stopped, as anybody sees it. */
                pause_ms(5);
                int file = open(path, O_RDONLY);
                state[read(file, state, sizeof state - 1)] = 0;
                close(file);
            } while (!strpbrk(strrchr(state, ')'), "Tt"));
            pause_ms(50);
            kill(me, SIGCONT);
            pause_ms(300);
            _exit(write(ends[1], "x", 1) != 1);
        }
        errno = 0;
        long result;
        setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, kind == 3 ? sizeof limit : 0);
        if (kind == 0)
            result = epoll_wait(poller, &event, 1, 20000);
        else if (kind == 1)
            result = poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, 20000);
        else
            result = recv(ends[0], &byte, 1, MSG_PEEK);
        say(((const char *[]){"epoll_wait", "poll", "recv", "recv with a time limit"})[kind], result);
        fate("sender", pid);
        if (read(ends[0], &byte, 1) != 1)
            return;
    }
}

/* A signal that is ignored wakes a traced thread; it must not notice. */
static void ignored_signals(void)
{
    int ends[2], me = getpid(), poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    for (int kind = 0; kind < 2; kind++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
            return;
        epoll_ctl(poller, EPOLL_CTL_ADD, ends[0], &event);
        int pid = fork();
        if (pid == 0) {
            for (int i = 0; i < 20; i++) {
                pause_ms(5);
                kill(me, kind ? SIGCONT : SIGWINCH);
            }
            pause_ms(50);
            _exit(write(ends[1], "x", 1) != 1);
        }
        say("epoll_wait", epoll_wait(poller, &event, 1, -1));
        fate("sender", pid);
        close(ends[0]);
    }
}

static void dispositions(void)
{
    char line[300];
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, "Sig", 3) && strncmp(line, "SigQ", 4))
            fputs(line, stdout);
    fflush(stdout);
}

/* ── threads and programs ── */

static void *executes(void *unused)
{
    execl("/proc/self/exe", "hostile", "rounds_only", (char *)NULL);
    return NULL;
}

static void *goes_round(void *unused)
{
    for (;;) {
        int ends[2];
        char byte = 1;
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
            continue;
        if (write(ends[0], &byte, 1) != 1 || read(ends[1], &byte, 1) != 1)
            abort();
        close(ends[0]);
        close(ends[1]);
    }
}

static void rounds_only(void) { say("rounds", rounds()), say("the first thread", getpid() == gettid()); }

static void thread_executes(void)
{
    for (int i = 0; i < 10; i++) {
        int pid = fork();
        if (pid == 0) {
            pthread_t thread;
            for (int j = 0; j < 8; j++)
                pthread_create(&thread, NULL, goes_round, NULL);
            pause_ms(i);
            pthread_create(&thread, NULL, executes, NULL);
            goes_round(NULL);
        }
        fate("child", pid);
    }
}

static void ends_in_a_crowd(void)
{
    for (int i = 0; i < 15; i++) {
        int pid = fork();
        if (pid == 0) {
            pthread_t thread;
            for (int j = 0; j < 10; j++)
                pthread_create(&thread, NULL, goes_round, NULL);
            pause_ms(i % 7);
            if (i % 3 == 0)
                kill(getpid(), SIGKILL);
            if (i % 3 == 1)
                syscall(SYS_exit_group, i);
            execl("/bin/true", "true", (char *)NULL);
        }
        fate("child", pid);
    }
}

static void *outlives(void *unused)
{
    pause_ms(30);
    say("rounds without the first thread", rounds());
    exit(33);
}

static void first_thread_ends(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, outlives, NULL);
    pthread_exit(NULL);
}

static void vforks(void)
{
    for (int i = 0; i < 40; i++) {
        int pid = vfork(), status;
        if (pid == 0) {
            if (i & 1)
                execl("/bin/true", "true", (char *)NULL);
            _exit(rounds() == 5 ? i : 99);
        }
        waitpid(pid, &status, 0);
        if (WEXITSTATUS(status) != (i & 1 ? 0 : i))
            say("a child failed", status);
    }
    say("rounds", rounds());
}

static void parent_sees_stops(void)
{
    siginfo_t told;
    int pid = fork();
    if (pid == 0) {
        rounds();
        raise(SIGSTOP);
        rounds();
        raise(SIGTSTP);
        _exit((int)rounds());
    }
    for (int i = 0; i < 2; i++) {
        waitid(P_PID, (id_t)pid, &told, WSTOPPED);
        say("stopped by", told.si_status);
        kill(pid, SIGCONT);
        waitid(P_PID, (id_t)pid, &told, WCONTINUED);
        say("continued by", told.si_status);
    }
    fate("child", pid);
}

/* ── registers, memory, descriptors ── */

static void registers_stay(void)
{
    register long r10 __asm__("r10") = 0x111, r8 __asm__("r8") = 0x222, r9 __asm__("r9") = 0x333;
    long result = SYS_socket, family = AF_UNIX, kind = SOCK_STREAM, below = 0;
    __asm__ volatile("movq $0x5a5a,-120(%%rsp)\n\tsyscall\n\tmovq -120(%%rsp),%%rdx"
                     : "+a"(result), "+D"(family), "+S"(kind), "=d"(below), "+r"(r10), "+r"(r8), "+r"(r9)
                     : "3"(0L)
                     : "rcx", "r11", "memory");
    int kept = family == AF_UNIX && kind == SOCK_STREAM && r10 == 0x111 && r8 == 0x222 && r9 == 0x333;
    say("socket", result > 2);
    say("arguments stay", kept);
    say("the red zone stays", below == 0x5a5a);
}

static void no_room(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_AS, &none);
    say("mmap", (long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    say("rounds", rounds());
    setrlimit(RLIMIT_NOFILE, &none);
    say("rounds", rounds());
}

static void closes_all(void)
{
    int output = fcntl(1, F_DUPFD, 700);
    say("rounds", rounds());
    syscall(SYS_close_range, 0, 600, 0);
    int first = socket(AF_INET, SOCK_DGRAM, 0);
    dup2(output, 1);
    say("the lowest descriptor", first);
    say("rounds", rounds());
    say("standard input is a socket", read(0, &first, 0) == 0 || errno == ENOTCONN || errno == EINVAL);
}

static void in_a_namespace(void)
{
    say("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID));
    int pid = fork();
    if (pid == 0) {
        say("pid", getpid());
        say("rounds", rounds());
        _exit(1);
    }
    fate("child", pid);
    say("rounds", rounds());
}

static void kills_itself(void) { rounds(), kill(getpid(), SIGKILL); }
static void aborts(void) { rounds(), abort(); }
static void ends_with_255(void) { rounds(), exit(255); }

static const struct {
    const char *name;
    void (*run)(void);
} programs[] = {
#define ONE(name) {#name, name}
    ONE(untraced_clone), ONE(untraced_clone3), ONE(filter_kills), ONE(filter_kills_later), ONE(filter_fails),
    ONE(filter_traps), ONE(filter_wants_tracer), ONE(filter_forbids_ours), ONE(filter_logs), ONE(filter_asks), ONE(strict),
    ONE(signals_in_order), ONE(first_socket_in_handler), ONE(jumps_out_of_a_call), ONE(stop_and_continue),
    ONE(ignored_signals), ONE(dispositions), ONE(rounds_only), ONE(thread_executes), ONE(ends_in_a_crowd),
    ONE(first_thread_ends), ONE(vforks), ONE(parent_sees_stops), ONE(registers_stay), ONE(no_room), ONE(closes_all),
    ONE(in_a_namespace), ONE(kills_itself), ONE(aborts), ONE(ends_with_255),
};

int main(int count, char **words)
{
    char byte;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        if (count < 2) {
            puts(programs[i].name);
        } else if (!strcmp(programs[i].name, words[1])) {
            if (count > 2 && read(0, &byte, 1) != 1)
                return 98;
            programs[i].run();
            return 0;
        }
    }
    return count < 2 ? 0 : 97;
}
