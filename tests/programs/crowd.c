/* Many busy threads, and one that wants its turn.
 *
 * crowd turns N    N threads send to themselves for ever; the first thread, which is the oldest, does so 200 times with a
 *                  pause between. Prints "turns LEAST MOST": how often the idlest and the busiest thread came round.
 * crowd end N HOW  N busy threads end at once: HOW is exit, kill or exec.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long *turns;
static pthread_barrier_t all_are_there;

static void come_round(const int *ends)
{
    char byte = 1;
    if (write(ends[0], &byte, 1) != 1 || read(ends[1], &byte, 1) != 1)
        abort();
}

static void *busy(void *count)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        abort();
    pthread_barrier_wait(&all_are_there);
    for (;;) {
        come_round(ends);
        ++*(long *)count;
    }
}

int main(int count, char **words)
{
    int threads = atoi(words[2]), ends[2];
    struct timespec pause = {0, 1000000};
    pthread_barrier_init(&all_are_there, NULL, (unsigned)threads + 1);
    turns = calloc((size_t)threads, sizeof *turns);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        return 1;
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, busy, &turns[i]))
            return 2;
    }
    pthread_barrier_wait(&all_are_there);
    if (!strcmp(words[1], "end")) {
        for (int i = 0; i < 10; i++)
            nanosleep(&pause, NULL);
        if (!strcmp(words[3], "kill"))
            kill(getpid(), SIGKILL);
        if (!strcmp(words[3], "exec"))
            execl("/bin/true", "true", (char *)NULL);
        syscall(SYS_exit_group, 0);
    }
    memset(turns, 0, (size_t)threads * sizeof *turns);
    for (int i = 0; i < 200; i++) {
        come_round(ends);
        nanosleep(&pause, NULL);
    }
    long least = turns[0], most = turns[0];
    for (int i = 1; i < threads; i++) {
        least = turns[i] < least ? turns[i] : least;
        most = turns[i] > most ? turns[i] : most;
    }
    printf("turns %ld %ld\n", least, most);
    fflush(stdout);
    _exit(0);
}
