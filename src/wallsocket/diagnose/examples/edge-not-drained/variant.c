/* A server under edge-triggered epoll accepts one connection for each event; those that came together with it wait. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int client[3], epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, length);
    listen(listener, 16);
    getsockname(listener, (struct sockaddr *)&address, &length);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 3; i++) {
        client[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(client[i], (struct sockaddr *)&address, length))
            return 1;
    }
    usleep(100000);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    while (epoll_wait(epoll, &event, 1, 1500) > 0) {
        int connection = accept(listener, NULL, NULL);
        if (write(connection, "hello\n", 6) != 6)
            return 1;
        shutdown(connection, SHUT_WR);
        close(connection);
    }
    for (int i = 0; i < 3; i++)
        close(client[i]);
    close(listener);
    close(epoll);
    return 0;
}
