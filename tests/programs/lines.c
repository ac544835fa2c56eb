/* Calls, and at the end of each line that makes one the mark by which a test knows it. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

void relay(int to, const char *text); /* in lines_library.c */

static volatile int ends[2];

__attribute__((noinline)) static long deep(int depth) {
    char text[16] = "deep";
    long done = depth > 0 ? deep(depth - 1) : sendto(ends[0], text, 4, 0, 0, 0); /* HERE sendto */
    return done + text[depth & 3];
}

static inline __attribute__((always_inline)) long inlined(int from) {
    char text[16];
    return read(from, text, sizeof text); /* HERE read */
}

/* Moves its stack pointer by an amount that only runs tell, and aligns it: its callers are found by the frame pointer. */
__attribute__((noinline)) static long aligned(int count) {
    __attribute__((aligned(64))) char text[64];
    char more[count];
    memset(more, count, sizeof more);
    memset(text, more[count - 1], sizeof text);
    long done = write(ends[0], text, sizeof text); /* HERE write */
    return done + text[7] + more[0];
}

static void interrupted(int signal) {
    char text[64];
    struct iovec part = {text, sizeof text};
    if (readv(ends[1], &part, 1) < 0) /* HERE readv */
        ends[0] = signal;
}

int main(int argc, char **argv) {
    int both[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, both); /* HERE socketpair */
    ends[0] = both[0];
    ends[1] = both[1];
    long sum = deep(5);
    sum += inlined(ends[1]);
    sum += aligned(argc + 32);
    signal(SIGUSR1, interrupted);
    raise(SIGUSR1);
    relay(ends[0], argv[0]);
    shutdown(ends[0], SHUT_WR); /* HERE shutdown */
    return sum == 0;
}
