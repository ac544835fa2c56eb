// A thread that is cancelled while it waits in a call: what its stack holds is destroyed.
#include <cstdio>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static int two[2];

struct Held {
    ~Held() {
        printf("destroyed\n");
        fflush(stdout);
    }
};

static void *waits(void *) {
    Held held;
    char byte = 'x';
    for (int i = 0; i < 5; i++) send(two[0], &byte, 1, 0), recv(two[1], &byte, 1, 0);
    recv(two[1], &byte, 1, 0);
    return nullptr;
}

int main() {
    pthread_t thread;
    void *value;
    socketpair(AF_UNIX, SOCK_STREAM, 0, two);
    pthread_create(&thread, nullptr, waits, nullptr);
    usleep(100000);
    pthread_cancel(thread);
    pthread_join(thread, &value);
    printf("cancelled %d\n", value == PTHREAD_CANCELED);
}
