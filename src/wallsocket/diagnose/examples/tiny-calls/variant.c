/* A client that does not block asks again and again whether the answer is there. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    char answer[64];
    ssize_t got;
    int s, listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, length);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &length);
    if (fork() == 0) {
        int c = accept(listener, NULL, NULL);
        close(listener);
        if (read(c, answer, sizeof answer) < 0)
            _exit(1);
        sleep(1);
        if (write(c, "answer", 6) != 6)
            _exit(1);
        while (read(c, answer, sizeof answer) > 0)
            ;
        close(c);
        _exit(0);
    }
    close(listener);
    s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&address, length) || write(s, "question", 8) != 8)
        return 1;
    fcntl(s, F_SETFL, O_NONBLOCK);
    while ((got = recv(s, answer, sizeof answer, 0)) < 0 && errno == EAGAIN)
        ;
    close(s);
    wait(NULL);
    return got != 6;
}
