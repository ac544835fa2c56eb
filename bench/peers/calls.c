// calls N : N rounds of send and recv of 64 bytes over a socketpair; prints the seconds of the loop, by the clock and of the
// processor. A first part that is not counted has what a program pays once.
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int count, char **words) {
    int rounds = count > 1 ? atoi(words[1]) : 10000, pair[2];
    char bytes[64] = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    double clock = 0, processor = 0;
    for (int round = -1000; round < rounds; round++) {
        if (round == 0) clock = seconds(CLOCK_MONOTONIC), processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
        if (send(pair[0], bytes, sizeof bytes, 0) != sizeof bytes || recv(pair[1], bytes, sizeof bytes, 0) != sizeof bytes)
            return 1;
    }
    printf("{\"secs\":%.6f,\"processor\":%.6f}\n", seconds(CLOCK_MONOTONIC) - clock,
           seconds(CLOCK_PROCESS_CPUTIME_ID) - processor);
}
