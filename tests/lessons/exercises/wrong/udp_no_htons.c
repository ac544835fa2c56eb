#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    struct sockaddr_in address = {0}, client;
    char data[65536];
    int service = socket(AF_INET, SOCK_DGRAM, 0);
    address.sin_family = AF_INET;
    address.sin_port = atoi(argv[1]);
    bind(service, (struct sockaddr *)&address, sizeof address);  // HERE
    for (;;) {
        socklen_t length = sizeof client;
        ssize_t count = recvfrom(service, data, sizeof data, 0, (struct sockaddr *)&client, &length);
        for (ssize_t i = 0; i < count; i++)
            data[i] = toupper(data[i]);
        sendto(service, data, count, 0, (struct sockaddr *)&client, length);
    }
}
