/* The same in C: the result of bind is not looked at. */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in where = {.sin_family = AF_UNIX, .sin_port = htons(7004)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&where, sizeof where);
    listen(listener, 16);
    puts("listening on port 7004");
    close(listener);
    return 0;
}
