/* The same; the directory answers, and the lock goes from thread to thread. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int directory;

static void *look_up(void *name) {
    char answer[100];
    pthread_mutex_lock(&lock);
    send(directory, name, strlen(name), 0);
    recv(directory, answer, sizeof answer, 0);
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 5);
    getsockname(listener, (struct sockaddr *)&address, &length);
    directory = socket(AF_INET, SOCK_STREAM, 0);
    connect(directory, (struct sockaddr *)&address, sizeof address);
    int served = accept(listener, NULL, NULL);
    if (fork() == 0) {
        char name[100];
        close(directory);
        for (int number = 0; number < 4; number++) {
            recv(served, name, 4, MSG_WAITALL);
            send(served, name, 4, 0);
        }
        sleep(1);
        printf("ready\n");
        fflush(stdout);
        sleep(20);
        _exit(0);
    }
    close(served);
    close(listener);
    pthread_t threads[4];
    for (int number = 0; number < 4; number++)
        pthread_create(&threads[number], NULL, look_up, "name");
    for (int number = 0; number < 4; number++)
        pthread_join(threads[number], NULL);
    sleep(20);
    return 0;
}
