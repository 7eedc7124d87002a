/* Makes the next sync of a write-ahead log fail, once, after a file with the name in SYNC_FAULT was made; and each sync of
 * anything take longer while there is a file with the name in SYNC_SLOW. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int fd) {
    char link[64], path[4096];
    const char *trigger = getenv("SYNC_FAULT");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!trigger || length < 4 || strncmp(path + length - 4, "-wal", 4) != 0) return 0;
    return unlink(trigger) == 0;
}

static void rest(void) {
    const char *trigger = getenv("SYNC_SLOW");
    if (trigger && access(trigger, F_OK) == 0) usleep(40000);
}

static int call(const char *name, int fd) {
    rest();
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fdatasync(int fd) { return call("fdatasync", fd); }
int fsync(int fd) { return call("fsync", fd); }
