// Waits at the bottom of a few calls: with large frames, arguments on the stack, a call through a pointer, and room that is
// taken as it goes.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define OWN __attribute__((noinline))
static int pair[2];

OWN static int receive(int from) {
    char bytes[300];
    memset(bytes, 1, sizeof bytes);
    return (int)recv(from, bytes, 1, 0) + bytes[7];  // HERE 0 receive
}

OWN static int of_many(int a, int b, int c, int d, int e, int f, int g, int from) {
    return receive(from) + a + b + c + d + e + f + g;  // HERE 1 of_many
}

OWN static int chosen(int from) {
    char more[100];
    memset(more, 2, sizeof more);
    return of_many(1, 2, 3, 4, 5, 6, 7, from) + more[9];  // HERE 2 chosen
}

static int (*volatile choose)(int) = chosen;

// What it leaves on the stack are frames, too: of calls that are over.
OWN static int over(int depth) {
    volatile char bytes[40];
    bytes[0] = (char)depth;
    return depth ? over(depth - 1) + bytes[0] : 0;
}

int main(void) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    puts("ready");
    fflush(stdout);
    int before = over(20);
    return choose(pair[0]) + before;  // HERE 3 main
}
