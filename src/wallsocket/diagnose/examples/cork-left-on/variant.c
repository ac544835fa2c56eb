/* An answer is sent with MSG_MORE though nothing more comes. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int on = 1, s, listener = socket(AF_INET, SOCK_STREAM, 0);
    char question, answer[64];
    bind(listener, (struct sockaddr *)&address, length);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &length);
    if (fork() == 0) {
        int c = accept(listener, NULL, NULL);
        while (read(c, &question, 1) == 1) {
            send(c, "head body\n", 10, MSG_MORE);
        }
        close(c);
        _exit(0);
    }
    close(listener);
    s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&address, length))
        return 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (int i = 0; i < 6; i++) {
        ssize_t got = 0, part;
        if (write(s, "?", 1) != 1)
            return 1;
        while (got < 10 && (part = read(s, answer + got, sizeof answer - got)) > 0)
            got += part;
    }
    close(s);
    wait(NULL);
    return 0;
}
