// Preloaded: kills its process at the call number DIES_AT of those that change a file, before that call does anything.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static void step(void) {
    static int number;
    const char *at = getenv("DIES_AT");
    if (at && ++number == atoi(at))
        kill(getpid(), SIGKILL);
}

#define WRAP(result, name, declared, given)                                                                            \
    result name declared {                                                                                             \
        static result(*real) declared;                                                                                 \
        if (!real)                                                                                                     \
            real = dlsym(RTLD_NEXT, #name);                                                                            \
        step();                                                                                                        \
        return real given;                                                                                             \
    }

WRAP(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
WRAP(int, unlink, (const char *path), (path))
WRAP(int, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, ftruncate64, (int fd, off64_t size), (fd, size))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size))
WRAP(int, posix_fallocate64, (int fd, off64_t at, off64_t size), (fd, at, size))
