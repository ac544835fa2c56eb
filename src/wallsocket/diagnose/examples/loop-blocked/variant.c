/* A poll loop serves its clients in turn and sleeps for one of them: the other's question waits. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int client(struct sockaddr_in *server, const char *question, int after_ms)
{
    pid_t child = fork();
    if (child)
        return child;
    char answer[64];
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)server, sizeof *server))
        _exit(1);
    usleep(after_ms * 1000);
    if (write(s, question, strlen(question)) < 0 || read(s, answer, sizeof answer) < 0)
        _exit(1);
    close(s);
    _exit(0);
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct pollfd set[8];
    int count = 1, served = 0, listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, length);
    listen(listener, 16);
    getsockname(listener, (struct sockaddr *)&address, &length);
    client(&address, "report\n", 0);
    client(&address, "ping\n", 600);
    set[0] = (struct pollfd){listener, POLLIN, 0};
    while (served < 2 && poll(set, count, 10000) > 0) {
        if (set[0].revents)
            set[count++] = (struct pollfd){accept(listener, NULL, NULL), POLLIN, 0};
        for (int i = 1; i < count; i++) {
            char question[64];
            if (!(set[i].revents & POLLIN))
                continue;
            ssize_t got = read(set[i].fd, question, sizeof question);
            if (got > 0) {
                if (question[0] == 'r')
                    sleep(2); /* makes the report */
                if (write(set[i].fd, "done\n", 5) != 5)
                    return 1;
                served++;
            }
        }
        for (int i = 1; i < count; i++)
            set[i].revents = 0;
    }
    for (int i = 1; i < count; i++) {
        char rest[8];
        while (read(set[i].fd, rest, sizeof rest) > 0)
            ;
        close(set[i].fd);
    }
    close(listener);
    while (wait(NULL) > 0)
        ;
    return 0;
}
