/* A server asks for a queue for 65,536 connections. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int client, connection, listener = socket(AF_INET, SOCK_STREAM, 0);
    char line[16];
    bind(listener, (struct sockaddr *)&address, length);
    if (listen(listener, 65536))
        return 1;
    getsockname(listener, (struct sockaddr *)&address, &length);
    client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&address, length))
        return 1;
    connection = accept(listener, NULL, NULL);
    if (write(connection, "ready\n", 6) != 6 || read(client, line, sizeof line) != 6)
        return 1;
    close(connection);
    close(client);
    close(listener);
    return 0;
}
