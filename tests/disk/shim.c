/* Stands between a process and its disk: writes down, in order, all that it does to the files of one folder, and lets
 * calls fail when told to. What is written down is enough to work out what a disk may hold after a power cut.
 *
 * DISK_FOLDER   the folder, as an absolute path; files elsewhere and names that end in -shm (which is memory) are let be
 * DISK_TRACE    where it is written down (see trace.rs, which reads it)
 *
 * What is written to the file "said" in the folder is written down as a remark of the process. What is written to the file
 * "faults" in it is an order: "<kind> <first> <count>": from now on the calls with these numbers, counted from 0, fail; "-" ends
 * it. Kinds: e (EIO, any call), n (ENOSPC, calls that may take room), h (only half is written, and no error), f (EIO, of
 * calls that sync only, which alone count), l (the same of syncs of a write-ahead log), d (and of all others). Once a call has
 * failed there is a file "hit" in the folder.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 65536
#define REAL(name) ((__typeof__(&name))real(#name, &real_##name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static size_t folder_len;
static int trace = -1;
/* The files that were seen: the place in the table is the number of the file. */
static struct { dev_t dev; ino_t ino; uint32_t failures; int is_log; } files[FILES_MAX];
static uint32_t files_len;
/* A sync that failed is told once to each descriptor that was open then, as Linux does since 4.13: of how many of the
 * failures of its file each of them knows. */
static uint32_t told[FILES_MAX];
static char kind = '-';
static long first, count, calls;

static void *real_open64, *real_write, *real_pwrite64, *real_pread64, *real_fsync, *real_fdatasync;
static void *real_ftruncate64, *real_unlink, *real_rename, *real_linkat, *real_read;

static void *real(const char *name, void **cache) {
    if (!*cache) *cache = dlsym(RTLD_NEXT, name);
    return *cache;
}

static void begin(void) {
    if (trace >= 0 || !getenv("DISK_TRACE")) return;
    folder = getenv("DISK_FOLDER");
    folder_len = folder ? strlen(folder) : 0;
    if (folder_len) trace = REAL(open64)(getenv("DISK_TRACE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The name within the folder, or NULL. */
static const char *within(const char *path) {
    begin();
    if (trace < 0 || strncmp(path, folder, folder_len) != 0) return NULL;
    if (path[folder_len] == 0) return "";
    if (path[folder_len] != '/') return NULL;
    const char *name = path + folder_len + 1;
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, "-shm") == 0 ? NULL : name;
}

/* One thing that was done. The layout is that of `Head` in trace.rs. */
static void note(char what, uint32_t file, uint64_t at, const void *data, size_t length) {
    struct __attribute__((packed)) { char what; uint32_t file; uint64_t at; uint32_t length; } head = {what, file, at, length};
    if (REAL(write)(trace, &head, sizeof head) != sizeof head || REAL(write)(trace, data, length) != (ssize_t)length) abort();
}

static uint32_t number_of(const struct stat *found) {
    for (uint32_t i = files_len; i-- > 0;)
        if (files[i].ino == found->st_ino && files[i].dev == found->st_dev) return i;
    return UINT32_MAX;
}

/* Which file of the folder this is; UINT32_MAX: none. */
static uint32_t file_of(int fd) {
    struct stat found;
    if (trace < 0 || fd == trace || fstat(fd, &found) != 0) return UINT32_MAX;
    return number_of(&found);
}

/* Whether this call is to fail. Anything that may is counted. A sync is 1, and 2 where it is one of a log. */
static int fails(int sync, int takes_room) {
    if (kind == '-' || (kind == 'f' && !sync) || (kind == 'l' && sync != 2) || (kind == 'd' && sync != 1)) return 0;
    long number = calls++;
    if (number < first || number >= first + count) return 0;
    if (kind == 'n' && !takes_room) return 0;
    if (kind == 'h' && takes_room != 2) return 0;
    char path[4096];
    snprintf(path, sizeof path, "%s/hit", folder);
    int hit = REAL(open64)(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (hit >= 0) close(hit);
    errno = kind == 'n' ? ENOSPC : EIO;
    return 1;
}

static int is_named(uint32_t file, const char *name) {
    char path[4096];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &found) == 0 && files[file].ino == found.st_ino && files[file].dev == found.st_dev;
}

static int opened(const char *path, int flags, mode_t mode, int (*go)(const char *, int, mode_t)) {
    const char *name = within(path);
    if (!name) return go(path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat found;
    int is_new = stat(path, &found) != 0;
    int fd = -1;
    if (!(is_new && (flags & O_CREAT) && fails(0, 1))) fd = go(path, flags, mode);
    int why = errno;
    if (fd >= 0 && fstat(fd, &found) == 0) {
        if (is_new || number_of(&found) == UINT32_MAX) {
            if (files_len == FILES_MAX) abort();
            size_t length = strlen(name);
            files[files_len].is_log = length > 4 && strcmp(name + length - 4, "-wal") == 0;
            files[files_len].dev = found.st_dev;
            files[files_len].ino = found.st_ino;
            note(S_ISDIR(found.st_mode) ? 'd' : is_new ? 'c' : 'o', files_len++, 0, name, strlen(name));
        }
        if (fd < FILES_MAX) told[fd] = files[number_of(&found)].failures;
        if (flags & O_TRUNC) note('t', number_of(&found), 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = why;
    return fd;
}

static int go_open(const char *path, int flags, mode_t mode) { return REAL(open64)(path, flags, mode); }

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { MODE_OF(flags) return opened(path, flags, mode, go_open); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return opened(path, flags, mode, go_open); }

static void order(const char *text, size_t length) {
    char line[64] = {0};
    memcpy(line, text, length < 63 ? length : 63);
    calls = 0;
    if (sscanf(line, "%c %ld %ld", &kind, &first, &count) != 3) kind = '-';
}

static ssize_t written(int fd, const void *data, size_t length, int64_t at, int is_placed) {
    pthread_mutex_lock(&lock);
    uint32_t file = file_of(fd);
    ssize_t done;
    if (file == UINT32_MAX) {
        pthread_mutex_unlock(&lock);
        return is_placed ? REAL(pwrite64)(fd, data, length, at) : REAL(write)(fd, data, length);
    }
    if (is_named(file, "said")) {
        note('!', 0, 0, data, length);
        done = length;
    } else if (is_named(file, "faults")) {
        order(data, length);
        done = length;
    } else {
        if (!is_placed) at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
        size_t wanted = length;
        int is_failing = fails(0, 2);
        if (is_failing && kind == 'h' && length > 1) {
            is_failing = 0;
            wanted = length / 2;
        }
        if (is_failing) done = -1;
        else done = is_placed ? REAL(pwrite64)(fd, data, wanted, at) : REAL(write)(fd, data, wanted);
        if (done > 0) note('w', file, at, data, done);
    }
    int why = errno;
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

ssize_t write(int fd, const void *data, size_t length) { return written(fd, data, length, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return written(fd, data, length, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) { return written(fd, data, length, at, 1); }

static ssize_t got(int fd, void *data, size_t length, int64_t at, int is_placed) {
    pthread_mutex_lock(&lock);
    int is_failing = kind == 'e' && file_of(fd) != UINT32_MAX && fails(0, 0);
    pthread_mutex_unlock(&lock);
    if (is_failing) { errno = EIO; return -1; }
    return is_placed ? REAL(pread64)(fd, data, length, at) : REAL(read)(fd, data, length);
}

ssize_t read(int fd, void *data, size_t length) { return got(fd, data, length, 0, 0); }
ssize_t pread(int fd, void *data, size_t length, off_t at) { return got(fd, data, length, at, 1); }
ssize_t pread64(int fd, void *data, size_t length, off64_t at) { return got(fd, data, length, at, 1); }

static int synced(int fd, int (*go)(int)) {
    pthread_mutex_lock(&lock);
    uint32_t file = file_of(fd);
    int done, why = 0;
    int is_new = file != UINT32_MAX && fails(files[file].is_log ? 2 : 1, 0);
    int is_old = file != UINT32_MAX && fd < FILES_MAX && told[fd] < files[file].failures;
    if (is_new || is_old) {
        /* What is only told late lost nothing that was written since. */
        if (is_new) {
            files[file].failures++;
            note('f', file, 0, "", 0);
        }
        if (fd < FILES_MAX) told[fd] = files[file].failures;
        done = -1;
        why = EIO;
    } else {
        done = go(fd);
        why = errno;
        if (done == 0 && file != UINT32_MAX) note('s', file, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

static int truncated(int fd, off64_t length) {
    pthread_mutex_lock(&lock);
    uint32_t file = file_of(fd);
    int done = file != UINT32_MAX && fails(0, 1) ? -1 : REAL(ftruncate64)(fd, length);
    int why = errno;
    if (done == 0 && file != UINT32_MAX) note('t', file, length, "", 0);
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

int unlink(const char *path) {
    const char *name = within(path);
    if (!name) return REAL(unlink)(path);
    pthread_mutex_lock(&lock);
    struct stat found;
    int is_there = stat(path, &found) == 0;
    int done = is_there && fails(0, 0) ? -1 : REAL(unlink)(path);
    int why = errno;
    if (done == 0) note('u', 0, 0, name, strlen(name));
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

static void note_pair(char what, const char *from, const char *to) {
    char both[8192];
    int length = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
    if (length < 0 || length >= (int)sizeof both) abort();
    note(what, 0, 0, both, length);
}

int rename(const char *from, const char *to) {
    const char *old = within(from), *new = within(to);
    if (!old || !new) return REAL(rename)(from, to);
    pthread_mutex_lock(&lock);
    int done = fails(0, 1) ? -1 : REAL(rename)(from, to);
    int why = errno;
    if (done == 0) note_pair('r', old, new);
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) {
    const char *old = within(from), *new = within(to);
    if (!old || !new) return REAL(linkat)(from_fd, from, to_fd, to, flags);
    pthread_mutex_lock(&lock);
    int done = fails(0, 1) ? -1 : REAL(linkat)(from_fd, from, to_fd, to, flags);
    int why = errno;
    if (done == 0) note_pair('l', old, new);
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}
