#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
static char *folder;
static int all(int c, const char *p, size_t n) {
    while (n) {
        ssize_t w = write(c, p, n);  // HERE
        if (w < 0) return -1;
        p += w, n -= w;
    }
    return 0;
}
static void *serve(void *arg) {
    int c = (long)arg;
    char name[257], path[4096], head[64];
    int have = 0;
    while (have < 256 && read(c, name + have, 1) == 1 && name[have] != '\n') have++;
    if (have == 256 || name[have] != '\n') { close(c); return 0; }
    int bad = memchr(name, 0, have) != 0 || have == 0;
    name[have] = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    struct stat st;
    int f = -1;
    if (!bad && !strchr(name, '/') && lstat(path, &st) == 0 && S_ISREG(st.st_mode)) f = open(path, O_RDONLY);
    if (f < 0) all(c, "NO\n", 3);
    else {
        all(c, head, sprintf(head, "OK %ld\n", (long)st.st_size));
        char *b = malloc(65536);
        ssize_t r;
        while ((r = read(f, b, 65536)) > 0)
            if (all(c, b, r)) break;
        free(b);
        close(f);
    }
    close(c);
    return 0;
}
int main(int argc, char **argv) {
    folder = argv[2];
    int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    if (bind(s, (void *)&a, sizeof a) || listen(s, 50)) return 1;
    for (;;) {
        long c = accept(s, 0, 0);
        pthread_t t;
        pthread_create(&t, 0, serve, (void *)c);
        pthread_detach(t);
    }
}
