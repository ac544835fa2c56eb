/* first_sockets N: N children, one after the other, make their first socket and use it. Status 1: one of them was harmed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t alarms;

static void note(int number)
{
    alarms += number == SIGALRM;
}

/* What a child finds; every other one gets a signal every 50 microseconds meanwhile. */
static int child(int number)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    int ends[2] = {-1, -1}, answer;
    char bytes[6] = "";
    sigaction(SIGALRM, &action, NULL);
    if (number & 1)
        setitimer(ITIMER_REAL, &often, NULL);
    answer = socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    if (answer != 0 || ends[0] < 3 || ends[0] > 9 || ends[1] < 3 || ends[1] > 9)
        return printf("child %d: socketpair() = %d, %d %d, %s\n", number, answer, ends[0], ends[1], strerror(errno));
    for (int i = 0; i < 10; i++) {
        if ((answer = (int)write(ends[0], "hello", 5)) != 5)
            return printf("child %d: write() = %d %s\n", number, answer, strerror(errno));
        if ((answer = (int)read(ends[1], bytes, 5)) != 5 || strcmp(bytes, "hello"))
            return printf("child %d: read() = %d %s\n", number, answer, strerror(errno));
    }
    setitimer(ITIMER_REAL, &never, NULL);
    return 0;
}

int main(int count, char **words)
{
    int children = count > 1 ? atoi(words[1]) : 1000, harmed = 0, status;
    for (int i = 0; i < children; i++) {
        fflush(stdout);
        int pid = fork();
        if (pid == 0) {
            status = child(i);
            fflush(stdout);
            _exit(status != 0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            printf("child %d: status %x\n", i, status);
            harmed++;
        }
    }
    printf("%d of %d harmed\n", harmed, children);
    return harmed != 0;
}
