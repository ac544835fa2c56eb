/* A timer of a profiler interrupts a read; the program takes that for the end of the connection and makes a new one. */
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void tick(int signal)
{
    (void)signal;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct sigaction action = {.sa_handler = tick};
    struct itimerval timer = {.it_value = {.tv_usec = 300000}};
    char answer[64];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, length);
    listen(listener, 4);
    getsockname(listener, (struct sockaddr *)&address, &length);
    if (fork() == 0) {
        for (int i = 0; i < 2; i++) {
            int c = accept(listener, NULL, NULL);
            ssize_t got = read(c, answer, sizeof answer);
            usleep(700000);
            if (got > 0)
                send(c, "answer", 6, MSG_NOSIGNAL);
            while (read(c, answer, sizeof answer) > 0)
                ;
            close(c);
        }
        _exit(0);
    }
    close(listener);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    for (int i = 0; i < 2; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr *)&address, length) || write(s, "question", 8) != 8)
            return 1;
        ssize_t got = read(s, answer, sizeof answer);
        close(s);
        if (got > 0)
            break;
    }
    wait(NULL);
    return 0;
}
