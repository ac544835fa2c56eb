#include <ctype.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char text[1 << 20];

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 8);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        size_t length = 0;
        ssize_t count;
        while ((count = recv(client, text + length, sizeof text - 1 - length, 0)) > 0)
            length += count;
        text[length] = 0;
        for (char *letter = text; *letter; letter++)
            *letter = toupper(*letter);
        send(client, text, strlen(text), 0);  // HERE
        close(client);
    }
}
